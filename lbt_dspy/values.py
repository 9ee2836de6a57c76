"""Answers as values of the types that a signature declares: which are equal, and which label each one is."""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

import pydantic

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")
_READERS: tuple[Callable[[Any], object], ...] = (json.loads, ast.literal_eval)
_SEVERAL = (list, tuple, set, frozenset)
_NO_VALUE = (ValueError, TypeError, RecursionError, pydantic.PydanticSchemaGenerationError, pydantic.PydanticUserError)
"""What pydantic raises where a value is of another type, or a type is none that it knows."""


def plain_label(label: str) -> str:
    """Return a label as answers are compared with it: without case, spacing, and how its characters are coded."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return " ".join(_INVISIBLE.sub("", plain).split()) or label.strip()


def label_text(value: object) -> str:
    """Return a label as a text; of an Enum's member, its value."""
    return str(value.value) if isinstance(value, Enum) else str(value)


def plain_value(value: object) -> str:
    """Return a text that is equal for equal values of one type; of texts, case and surrounding space do not matter."""
    return value.strip().casefold() if isinstance(value, str) and not isinstance(value, Enum) else _plain(value)


def same_value(reference: object, answer: object) -> bool:
    """Return whether an answer equals a reference, which may be written in another type: 42 or "42" for 42.0.

    The answer's type decides: two texts are equal as texts, "42" is not "42.0".
    """
    if isinstance(answer, str) and not isinstance(answer, Enum):
        return plain_value(label_text(reference)) == plain_value(answer)
    as_texts = str(reference).strip().casefold() == str(answer).strip().casefold()
    return as_texts or _plain(_like(reference, answer)) == _plain(answer)


def as_declared(value: object, annotation: Any) -> object:
    """Return a reference as a value of a declared type; as it stands where it cannot be one."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _member(value, annotation)
    return _validated(value, annotation) if annotation in (bool, int, float) else value


def declared_label(value: object, annotation: Any) -> str:
    """Return the label that a reference or an answer is, as a value of a declared type: "True" for 1 of a `bool`."""
    return label_text(as_declared(value, annotation))


class Labels:
    """The labels of a task, found by whatever stands for one.

    Args:
        names: The labels: texts, or values such as an Enum's members.
    """

    def __init__(self, names: Iterable[object]) -> None:
        self.names = tuple(map(label_text, names))
        self._exact = {name: name for name in self.names}
        self._plain = {plain_label(name): name for name in self.names}

    def find(self, value: object) -> str | None:
        """Return the label that a value is, `None` for none.

        A text is the label that is equal but for case, spacing and coding; a number or truth value also the one label
        that reads as it; an Enum's member, the one with its value or its name.
        """
        for text in (label_text(value), *((value.name, str(value)) if isinstance(value, Enum) else ())):
            found = self._exact.get(text) or self._plain.get(plain_label(text))
            if found is not None:
                return found
        if not isinstance(value, bool | int | float):
            return None
        alike = [name for name in self.names if same_value(name, value)]
        return alike[0] if len(alike) == 1 else None


def _like(reference: object, answer: object) -> object:
    """Return a reference as a value of the answer's type, item by item; as it stands where it cannot be one."""
    if isinstance(answer, Enum):
        return _member(reference, type(answer))
    if isinstance(answer, str):
        return label_text(reference)
    if isinstance(answer, _SEVERAL):
        return _items_like(_read(reference), list(answer), ordered=isinstance(answer, list | tuple))
    if isinstance(answer, Mapping):
        found = _read(_dumped(reference))
        if isinstance(found, Mapping) and {*map(str, found)} == {*map(str, answer)}:
            named = {str(name): value for name, value in found.items()}
            return {name: _like(named[str(name)], value) for name, value in answer.items()}
        return found
    return reference if answer is None else _validated(reference, type(answer))


def _items_like(items: object, answers: list[object], *, ordered: bool) -> object:
    if not isinstance(items, _SEVERAL) or (ordered and isinstance(items, set | frozenset)):
        return items
    if ordered:
        return [_like(*pair) for pair in zip(items, answers, strict=True)] if len(items) == len(answers) else items
    return {_plain(item): item for item in (_like(item, answers[0]) if answers else item for item in items)}.values()


def _member(value: object, kind: type[Enum]) -> object:
    """Return the member of that value, else of that name."""
    if isinstance(value, Enum):
        return value
    found = [member for member in kind if same_value(value, member.value)]
    found += [member for member in kind if member.name == value]
    return found[0] if found else value


def _validated(value: object, kind: type[Any]) -> object:
    if type(value) is kind:
        return value
    is_record = dataclasses.is_dataclass(kind) or issubclass(kind, pydantic.BaseModel)
    adapter = _adapter(kind)  # type: ignore[arg-type]  # all types are hashable
    try:
        return adapter.validate_python(_read(_dumped(value)) if is_record else value)
    except _NO_VALUE:
        return value


@functools.lru_cache(maxsize=256)
def _adapter(kind: type[Any]) -> pydantic.TypeAdapter[object]:
    return pydantic.TypeAdapter(kind)


def _read(value: object) -> object:
    """Return what a text writes as JSON or in Python: data files have lists and objects so."""
    for read in _READERS if isinstance(value, str) else ():
        try:
            return read(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return value


def _dumped(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _plain(value: object) -> str:
    """Return a text of a value in which the types of its parts are seen."""
    value = _dumped(value)
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return json.dumps(value.strip().casefold())
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{_plain(str(name))}: {_plain(each)}" for name, each in value.items())) + "}"
    if isinstance(value, set | frozenset | type({}.values())):
        return "[" + ", ".join(sorted(map(_plain, value))) + "]"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if isinstance(value, Decimal):
        return str(value.normalize())
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip().casefold()
