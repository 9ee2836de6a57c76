"""Fields of one row of code problems, checked: whatever a row holds, it is read or there is an error of one line."""

from __future__ import annotations

import ast
import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

from lbt_dspy.benchmarks.tasks.tables import Row
from lbt_dspy.errors import UserError

Fields = dict[str, Any]
Case = tuple[str, str]
NO_PYTHON = (SyntaxError, ValueError, MemoryError, RecursionError)
"""What the parser and the compiler raise, whatever the text."""
CALLABLE = re.compile(r"[^\W\d]\w*(\(\))?(\.[^\W\d]\w*)*")


class LeftOutError(Exception):
    """A row that is no fault of the file but cannot be used; its text is the reason that is counted."""


def text_of(row: Row, name: str, place: str, *, needed: bool = False) -> str:
    """Return a field's text, "" where there is none.

    Raises:
        UserError: It is of another kind, or empty although it is needed.
    """
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong_kind(value, name, place, "text")
    if needed and not (value or "").strip():
        raise UserError(f"{place} has no {name!r}; give it one, or leave the row out")
    return value or ""


def texts_of(row: Row, name: str, place: str) -> list[str]:
    """Return a field's list of texts, empty where there is none."""
    value = row.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise wrong_kind(value, name, place, "a list of texts")
    return value


def tags_of(row: Row, place: str) -> tuple[str, ...]:
    """Return the tags: a list, or a text with commas between them."""
    value = row.get("tags")
    tags = value.split(",") if isinstance(value, str) else texts_of(row, "tags", place)
    return tuple(tag.strip() for tag in tags if tag.strip())


def id_of(row: Row, name: str, place: str, default: int) -> str:
    """Return the text or whole number that names a problem, else the number of its row."""
    value = row.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise wrong_kind(value, name, place, "text or a whole number")
    return str(default if value is None or value == "" else value)


def entry_point_of(row: Row, place: str, *, needed: bool = False) -> str:
    """Return what the tests call: a name, or an attribute of an object without arguments."""
    text = text_of(row, "entry_point", place, needed=needed).strip()
    if text and not CALLABLE.fullmatch(text):
        raise wrong_kind(text, "entry_point", place, "a name such as 'solve' or 'Solution().solve'")
    return text


def wrong_kind(value: object, name: str, place: str, wanted: str) -> UserError:
    """Return the error for a field that is not what it must be."""
    return UserError(f"{place} needs {wanted} in {name!r}, not {reprlib.repr(value)}")


def parsed(source: str, name: str, place: str) -> ast.Module:
    """Return the syntax tree of a field that must be Python."""
    try:
        return ast.parse(source)
    except NO_PYTHON as error:
        raise no_python(error, name, place) from None


def source_of(nodes: Iterable[ast.AST], name: str, place: str) -> list[str]:
    """Return parts of a field that is Python as texts of their own."""
    try:
        return [ast.unparse(node) for node in nodes]
    except NO_PYTHON as error:
        raise no_python(error, name, place) from None


def check_python(sources: Sequence[str], name: str, place: str) -> None:
    """Raise `UserError` unless each of the texts compiles; nothing is run."""
    for number, source in enumerate(sources, 1):
        try:
            compile(source, "<test>", "exec", dont_inherit=True)
        except NO_PYTHON as error:
            raise no_python(error, name if len(sources) == 1 else f"{name}, number {number},", place) from None


def no_python(error: BaseException, name: str, place: str) -> UserError:
    """Return the error for a field that does not compile."""
    reason = (str(error).splitlines() or [""])[0][:120]
    return UserError(f"{name} of {place} is no Python ({type(error).__name__}: {reason}); mend it or leave the row out")
