"""One row of a file of code problems: which format it is in, and its fields as ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lbt_dspy.benchmarks.tasks.code.fields import (
    Case,
    Fields,
    LeftOutError,
    check_python,
    entry_point_of,
    id_of,
    tags_of,
    text_of,
    wrong_kind,
)
from lbt_dspy.benchmarks.tasks.code.humaneval import humaneval, leetcode
from lbt_dspy.benchmarks.tasks.code.sets import apps, lines_of, mbpp
from lbt_dspy.benchmarks.tasks.tables import Row, columns_of, some
from lbt_dspy.errors import UserError


class Format(NamedTuple):
    """How a set writes its problems."""

    name: str
    columns: tuple[str, ...]
    """What tells it from others; of `a|b` one is enough."""
    read: Callable[[Row, str], Fields]
    """Gives the fields of a row but for `difficulty` and `unique_id`."""
    identity: str
    """The column with the `unique_id`."""


def problems_of(rows: Sequence[Row], name: str) -> tuple[list[Fields], Counter[str]]:
    """Return the problems of a file, and how many rows were left out, by reason.

    Args:
        rows: At least one.
        name: What the file is called in messages.

    Raises:
        UserError: A row is in no known format or in another than the first, or a field is not of its kind.
    """
    first = format_of(rows[0], f"row 1 of {name}")
    found, dropped = [], Counter[str]()
    for number, row in enumerate(rows, 1):
        place = f"row {number} of {name}"
        other = format_of(row, place)
        if other is not first:
            raise UserError(f"{place} is in the format {other.name}, row 1 in {first.name}; give one file for each")
        try:
            found.append(_problem(row, first, number, place))
        except LeftOutError as reason:
            dropped[str(reason)] += 1
    return found, dropped


def format_of(row: Row, place: str) -> Format:
    """Return the first format all of whose columns a row has."""
    for known in FORMATS:
        if all(any(name in row for name in column.split("|")) for column in known.columns):
            return known
    raise UserError(
        f"{place} is in no known format, it has: {some(columns_of([row])) or 'nothing'}; known are "
        + "; ".join(f"{known.name} ({', '.join(known.columns)})" for known in FORMATS)
    )


def own(row: Row, place: str) -> Fields:
    """Return the fields of a row that is written as ours."""
    tests = {name: _tests(row, name, place) for name in ("visible", "hidden")}
    kinds = {isinstance(test, str) for found in tests.values() for test in found}
    if len(kinds) > 1:
        raise UserError(f"{place} has snippets and pairs of input and output as tests; use one kind in a problem")
    return {
        "question": text_of(row, "question", place, needed=True),
        "program": text_of(row, "program", place),
        **tests,
        "entry_point": entry_point_of(row, place),
        "preamble": text_of(row, "preamble", place),
        "starter": text_of(row, "starter", place),
        "tags": tags_of(row, place),
    }


FORMATS = (
    Format("HumanEval", ("prompt", "entry_point", "canonical_solution", "test"), humaneval, "task_id"),
    Format(
        "LeetCodeDataset",
        ("problem_description", "starter_code", "prompt", "completion", "entry_point", "test"),
        leetcode,
        "task_id",
    ),
    Format("MBPP", ("text|prompt", "code", "test_list"), mbpp, "task_id"),
    Format("APPS", ("question", "input_output"), apps, "problem_id"),
    Format("ours", ("question", "visible|hidden"), own, "unique_id"),
)


def _problem(row: Row, known: Format, number: int, place: str) -> Fields:
    fields = known.read(row, place)
    for name in ("visible", "hidden"):
        check_python([test for test in fields[name] if isinstance(test, str)], f"{name!r}", place)
    check_python([fields["preamble"]], "the preamble", place)
    return {"starter": "", **fields} | {
        "difficulty": text_of(row, "difficulty", place),
        "unique_id": id_of(row, known.identity, place, number),
    }


def _tests(row: Row, name: str, place: str) -> tuple[str | Case, ...]:
    value = row.get(name)
    if value is not None and not isinstance(value, list):
        raise wrong_kind(value, name, place, "a list of tests")
    return tuple(test if isinstance(test, str) else _case(test, name, place) for test in value or [])


def _case(test: object, name: str, place: str) -> Case:
    if isinstance(test, dict) and set(test) == {"stdin", "stdout"}:
        test = [test["stdin"], test["stdout"]]
    if not isinstance(test, list) or len(test) != 2:
        raise wrong_kind(test, name, place, "snippets, or pairs of stdin and stdout,")
    return lines_of(test[0], name, place), lines_of(test[1], name, place)
