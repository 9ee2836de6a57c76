"""One row of a file of mathematical problems, as the sets name its fields, turned into ours."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from lbt_dspy.benchmarks.tasks.tables import Row, cell_text
from lbt_dspy.errors import UserError

NAMES = {
    "question": ("question", "problem"),
    "answer": ("answer",),
    "solution": ("solution",),
    "subject": ("subject", "type"),
    "level": ("level",),
    "unique_id": ("unique_id", "id"),
}
"""Our name of a field, and the names that the sets have for it."""
NEEDED = ("question", "answer", "unique_id")
DIGEST = 12
"""Characters of a unique_id that is made of a question."""
FINAL = "####"
CALCULATION = re.compile(r"<<[^<>\n]*>>")
"""What GSM8K has for a calculator, beside the result: `20+23=<<20+23=43>>43`."""
LEVEL = re.compile(r"(?:level )?(\d|\?)", re.IGNORECASE)
BRACES = re.compile(r"\\.|[{}]", re.DOTALL)


def problem_of(row: Row, place: str, *, named: bool = True) -> dict[str, Any]:
    r"""Return a row's question, answer, solution, subject, level and unique_id.

    Args:
        row: The row; `problem` is also read as the question, `type` as the subject and `id` as the unique_id.
        place: What the row is called in messages.

        named: Whether it must have a unique_id; else that is made of the question.

    Returns:
        Texts as they stand, but for the level: a number, 0 where it is not known ("Level ?" or none).

    Raises:
        UserError: There is no question, answer or unique_id, or a field is not of its kind.
    """
    fields: dict[str, Any] = {}
    for field, names in NAMES.items():
        name = next((name for name in names if row.get(name) is not None), field)
        text = None if isinstance(row.get(name), bool) else cell_text(row.get(name))
        if text is None:
            raise UserError(f"{place} needs text in {name!r}, not {str(row[name])[:60]}")
        if field == "unique_id" and not named:
            text = hashlib.sha256(" ".join(fields["question"].split()).encode()).hexdigest()[:DIGEST]
        if field in NEEDED and not text.strip():
            raise UserError(f"{place} has no {name!r}; give it one, or leave the row out")
        fields[field] = text
    worked, found, final = fields["answer"].rpartition(FINAL)
    if found and final.strip():  # the worked solution and its result, as GSM8K has them in one
        fields |= {"answer": final.strip(), "solution": fields["solution"] or CALCULATION.sub("", worked).strip()}
    level = LEVEL.fullmatch(fields["level"].strip() or "?")
    if level is None:
        raise UserError(f"{place} needs a level, a digit or 'Level' and a digit, not {fields['level'][:60]!r}")
    return fields | {"level": 0 if level[1] == "?" else int(level[1])}


def has_identity(row: Row) -> bool:
    """Whether a row names its problem."""
    return any((cell_text(row.get(name)) or "").strip() for name in NAMES["unique_id"])


def boxed(solution: str) -> str | None:
    r"""Return what stands in the last `\boxed{...}` of a solution, `None` when there is none that ends."""
    _, found, rest = solution.rpartition("\\boxed{")
    depth = 1 if found else 0
    for brace in BRACES.finditer(rest if found else ""):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return rest[: brace.start()]
    return None
