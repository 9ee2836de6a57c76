r"""The paper's files of MATH500 and of snapshots of MATH(), joined as its own script does (arXiv 2406.14629).

A snapshot is a folder as github.com/ConsequentAI/fneval packs it, `Oct-2023/test/algebra/1004.json`, with one problem a
file: {"problem": "...", "level": "Level 3", "type": "Algebra", "solution": "\\boxed{2}"}. The last three parts of its
path are the `unique_id` of the problem of MATH that it varies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.tasks.math.rows import boxed, problem_of
from lbt_dspy.benchmarks.tasks.tables import Row, read_file, writer_for
from lbt_dspy.errors import UserError

TEACHING, EXAM = "teaching.jsonl", "exam.jsonl"
MATH500 = "test.jsonl"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Snapshot = dict[str, Path]
"""The file of each unique_id."""


def prepare(math500: Path, snapshots: Sequence[Path], out: Path) -> str:
    """Write the teaching problems that have a variant in every snapshot, and these variants, and say how many.

    Args:
        math500: The file of MATH500, or a folder with its `test.jsonl`.
        snapshots: Folders of snapshots; variants come in the order of the months that name them (else as given).
        out: Where `teaching.jsonl` and `exam.jsonl` are written; they must not be there.

    Raises:
        UserError: A file or folder is missing or unfit, or no problem has all variants.
    """
    path = math500 / MATH500 if math500.is_dir() else math500
    rows = [problem_of(row, f"row {n} of {path.name}") for n, row in enumerate(read_file(path, "--math500"), 1)]
    named = _by_date(snapshots)
    found = [(name, _files(folder)) for name, folder in named.items()]
    teaching = [row for row in rows if all(row["unique_id"] in files for _, files in found)]
    if not teaching:
        raise UserError(
            f"no problem of --math500 {math500} has a variant in each of {', '.join(named)}; the folders must hold "
            "SUBJECT/NUMBER.json as unpacked from github.com/ConsequentAI/fneval"
        )
    exam = [_variant(files[row["unique_id"]], row["unique_id"], name) for row in teaching for name, files in found]
    _write(out, {TEACHING: teaching, EXAM: exam})
    return (
        f"{out}: {len(teaching)} teaching problems, {len(exam)} exam problems ({', '.join(named)}); "
        f"left out: {len(rows) - len(teaching)} problems without a variant in each"
    )


def _by_date(snapshots: Sequence[Path]) -> dict[str, Path]:
    """Return the folders by name, in the order of their months when all are named so."""
    named = {folder.resolve().name: folder for folder in snapshots}
    if len(named) < len(snapshots):
        raise UserError(f"--snapshots must be folders of different names but got {', '.join(map(str, snapshots))}")
    if not all(_date(name) for name in named):
        return named
    return dict(sorted(named.items(), key=lambda item: _date(item[0])))


def _date(name: str) -> tuple[int, int] | tuple[()]:
    month, _, year = name.partition("-")
    return (int(year), MONTHS.index(month)) if month in MONTHS and year.isdecimal() else ()


def _files(folder: Path) -> Snapshot:
    if not folder.is_dir():
        raise UserError(f"--snapshots {folder} is no folder; give those unpacked from github.com/ConsequentAI/fneval")
    files = {_unique_id(path): path for path in sorted(folder.rglob("*.json"))}
    if not files:
        raise UserError(f"--snapshots {folder} holds no SUBJECT/NUMBER.json; give an unpacked snapshot")
    return files


def _unique_id(path: Path) -> str:
    split = path.parent.parent.name
    return f"{split if split == 'train' else 'test'}/{path.parent.name}/{path.name}"


def _variant(path: Path, unique_id: str, snapshot: str) -> Row:
    place = "/".join(path.parts[-3:])
    try:
        row: Any = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        row = None
    if not isinstance(row, dict):
        raise UserError(f"{snapshot}: {place} is no JSON object in UTF-8; unpack the snapshot again")
    answer = boxed(str(row.get("solution")))
    if answer is None:
        raise UserError(f"{snapshot}: the solution of {place} has no \\boxed{{...}}; unpack the snapshot again")
    return problem_of(row | {"answer": answer, "unique_id": unique_id}, place) | {"snapshot": snapshot}


def _write(out: Path, files: dict[str, list[Row]]) -> None:
    existing = next((name for name in files if (out / name).exists()), None)
    if existing is not None:
        raise UserError(f"--out {out} already has {existing}; name a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, rows in files.items():
            (out / name).write_bytes(writer_for(".jsonl", rows)(rows))
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error.strerror}); name another folder") from None
