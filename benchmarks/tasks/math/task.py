r"""Can a model solve a mathematical problem? A task of M1, arXiv 2406.14629.

A teaching problem is solved by the teacher, whose lessons are examined on the problems of a bank, with known answers.
The paper's data: 181 problems of MATH500 (Lightman et al., arXiv 2305.20050; MATH itself: Hendrycks et al., arXiv
2103.03874; MIT) with three functional variants each, the snapshots Oct-, Nov- and Dec-2023 of MATH() (Srivastava et
al., arXiv 2402.19450, github.com/ConsequentAI/fneval, GPL-3.0). Nothing is shipped: name a folder with `--data DIR`, or
`--data hf`; `python benchmarks/math_task.py prepare` makes such a folder of the originals.

A row of the bank: {"question": "Convert the point $(0,745)$ in rectangular coordinates to polar coordinates.  Enter
your answer in the form $(r,\\theta),$ where $r > 0$ and $0 \\le \\theta < 2 \\pi.$", "solution": "\\boxed{\\left( 745,
\\frac{\\pi}{2} \\right)}", "answer": "\\left( 745, \\frac{\\pi}{2} \\right)", "subject": "Precalculus", "level": 2,
"unique_id": "test/precalculus/807.json", "snapshot": "Oct-2023"}
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dspy

from lbt_dspy.benchmarks.tasks.math.rows import boxed, has_identity, problem_of
from lbt_dspy.benchmarks.tasks.tables import Row, from_hub, read_file
from lbt_dspy.errors import UserError

HUB = "hf"
HUB_TEACHING, HUB_BANK = ("HuggingFaceH4/MATH-500", "test"), ("DigitalLearningGmbH/MATH-lighteval", "train")
LAYOUTS = (("teaching.jsonl", "exam.jsonl"), ("test.jsonl", "train.jsonl"))
"""Files of teaching problems and of the bank: those of `prepare`, and those of GSM8K."""
FOLDER = "math181"
"""Where the paper's data lies in the folder that LBT_DATA_DIR names."""
PREPARE = "python benchmarks/math_task.py prepare --math500 DIR --snapshots DIR DIR DIR --out DIR"


@dataclass(frozen=True, kw_only=True)
class MathData:
    """Teaching problems, and the bank of which their exams are made.

    Every example has the input `question` and the fields `answer`, `solution` (may be empty), `subject` (may be empty),
    `level` (1 to 5, 0: not known) and `unique_id`, which a problem of MATH shares with its functional variants.
    """

    teaching: tuple[dspy.Example, ...]
    bank: tuple[dspy.Example, ...]
    """In the order of its file; the variants of one problem in the order of their snapshots."""
    source: str
    """What it was read from, without folders."""
    dropped: Mapping[str, int]
    """How many problems were left out, by reason."""


def load_math(data: str | None) -> MathData:
    """Load the problems of M1.

    Args:
        data: A folder with `teaching.jsonl` and `exam.jsonl` (fields question, solution, answer, subject, level,
            unique_id), or `test.jsonl` and `train.jsonl` as of GSM8K (question and answer; it may be the solution, then
            `#### ` and the result); where no row has a unique_id or id, one is made of the question. `hf`: MATH-500 is
            taught and the training set of MATH is the bank, without variants; `None`: the folder `math181` in
            `LBT_DATA_DIR`.

    Raises:
        UserError: The data is missing or unfit.
    """
    if data == HUB:
        return _from_hub()
    folder = Path(os.environ.get("LBT_DATA_DIR", ""), FOLDER) if data is None else Path(data)
    if data is None and not ("LBT_DATA_DIR" in os.environ and folder.is_dir()):
        raise UserError(
            f"the task math ships no data; give --data DIR with {' and '.join(LAYOUTS[0])}, or --data hf, or make such "
            f"a folder of MATH500 and the snapshots of MATH(): {PREPARE}"
        )
    files = {path.name: read_file(path, "--data") for path in _files(folder)}
    named = any(has_identity(row) for rows in files.values() for row in rows)
    teaching, bank = (
        [problem_of(row, f"row {number} of {name}", named=named) for number, row in enumerate(rows, 1)]
        for name, rows in files.items()
    )
    return _math_data(teaching, bank, folder.resolve().name, {})


def check_variants(data: MathData) -> None:
    """Raise `UserError` unless each teaching problem has a functional variant in the bank: one with its `unique_id`."""
    known = {example.unique_id for example in data.bank}
    lacking = sum(example.unique_id not in known for example in data.teaching)
    if lacking:
        raise UserError(
            f"{lacking} of the {len(data.teaching)} teaching problems of {data.source} have no functional variant in "
            "the bank (a problem with the same unique_id); those of MATH() are not on the Hugging Face hub: get the "
            f"snapshots of github.com/ConsequentAI/fneval and run {PREPARE}, or choose --exam nearest or same-kind"
        )


def _files(folder: Path) -> tuple[Path, Path]:
    """Return the files of the first layout of which there is anything in the folder."""
    if not folder.is_dir():
        raise UserError(f"--data {folder} is no folder; give one with {' and '.join(LAYOUTS[0])}, or hf")
    layout = next((names for names in LAYOUTS if any((folder / name).exists() for name in names)), LAYOUTS[0])
    missing = next((name for name in layout if not (folder / name).is_file()), None)
    if missing is not None:
        raise UserError(f"--data {folder} has no {missing}; it needs {' and '.join(layout)}, as made by: {PREPARE}")
    return folder / layout[0], folder / layout[1]


def _from_hub() -> MathData:
    way_out = f"check the network, or make a folder of the original files for --data DIR: {PREPARE}"
    taught = [problem_of(row, f"row {n} of {HUB_TEACHING[0]}") for n, row in _hub_rows(*HUB_TEACHING, way_out)]
    bank, unboxed = [], 0
    for number, row in _hub_rows(*HUB_BANK, way_out):
        answer = boxed(str(row.get("solution")))
        if answer is None:
            unboxed += 1
        else:
            named = row | {"answer": answer, "unique_id": f"{HUB_BANK[1]}/{number}"}
            bank.append(problem_of(named, f"row {number} of {HUB_BANK[0]}"))
    dropped = {"exam problems without a boxed answer": unboxed} if unboxed else {}
    return _math_data(taught, bank, f"{HUB_TEACHING[0]}, {HUB_BANK[0]}", dropped)


def _hub_rows(name: str, split: str, way_out: str) -> enumerate[Row]:
    return enumerate(from_hub(name, split, way_out), 1)


def _math_data(teaching: Sequence[Row], bank: Sequence[Row], source: str, dropped: Mapping[str, int]) -> MathData:
    """Return the data unless a problem is taught twice; what is taught is not examined."""
    for field in ("question", "unique_id"):
        _check_different([_plain(row[field]) for row in teaching], field, source)
    taught = {_plain(row["question"]) for row in teaching}
    kept = [row for row in bank if _plain(row["question"]) not in taught]
    if not kept:
        raise UserError(f"all {len(bank)} exam problems of {source} are teaching problems; give others, with answers")
    leaks = {"exam problems that are teaching problems": len(bank) - len(kept)} if len(kept) < len(bank) else {}
    return MathData(
        teaching=tuple(map(_example, teaching)),
        bank=tuple(map(_example, kept)),
        source=source,
        dropped={**dropped, **leaks},
    )


def _check_different(values: Sequence[str], field: str, source: str) -> None:
    first: dict[str, int] = {}
    for number, value in enumerate(values, 1):
        if first.setdefault(value, number) != number:
            raise UserError(
                f"teaching problems {first[value]} and {number} of {source} have the same {field} ({value[:60]!r}); "
                "teach each problem once"
            )


def _plain(text: str) -> str:
    return " ".join(text.split())


def _example(row: Row) -> dspy.Example:
    return dspy.Example(**row).with_inputs("question")
