r"""Can a model write a program? A task of M1, arXiv 2406.14629, which judges lessons by the visible tests of others.

A teaching problem is solved by the teacher, whose lessons are examined on the other problems of a bank. The paper's
problems are LeetCode's and cannot be shipped; nothing is: name a file or a folder with `--data`, or `--data hf`. Read
are, as their authors write them, told apart by their columns:

* HumanEval (Chen et al. 2021, arXiv 2107.03374; github.com/openai/human-eval; MIT). Visible tests: the examples of the
  docstring, 156 of 164 prompts have one that can be read. Hidden: the asserts of `check`.
* LeetCodeDataset (Xia et al. 2025, arXiv 2504.14655; github.com/newfacade/LeetCodeDataset; MIT, but the statements are
  LeetCode's). Visible: the asserts of the statement's examples. Hidden: the others.
* MBPP (Austin et al. 2021, arXiv 2108.07732; CC BY 4.0). Visible: the first test. Hidden: the others, and the challenge
  tests; an only test is both.
* APPS (Hendrycks et al. 2021, arXiv 2105.09938; MIT). Visible: the cases that stand in the question, else the first of
  several. Hidden: the others, or all where there is no other.
* Our own: `question`, and `visible` and `hidden`: lists of Python snippets that raise when they fail, or of `{"stdin":
  ..., "stdout": ...}` or `[stdin, stdout]` for scripts. Where wanted: `program`, `entry_point`, `preamble`, `starter`,
  `tags`, `difficulty` and `unique_id` (else the number of the row). A row: {"question": "Write `add(a, b)`, the sum of
  two numbers.", "visible": ["assert add(1, 2) == 3"], "hidden": ["assert add(-1, 1) == 0"], "program": "def add(a,
  b):\n  return a + b", "entry_point": "add", "tags": ["Math"], "difficulty": "Easy", "unique_id": "add"}

Loading reads only: no program, no reference and no test is run.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dspy

from lbt_dspy.benchmarks.tasks.code.fields import Fields
from lbt_dspy.benchmarks.tasks.code.rows import problems_of
from lbt_dspy.benchmarks.tasks.tables import Row, ending_of, from_hub, read_file, some, some_rows
from lbt_dspy.errors import UserError

HUB = "hf"
HUB_SET = ("openai/openai_humaneval", "test")
LAYOUT = ("teaching.jsonl", "exam.jsonl")
ENDINGS = (".jsonl", ".parquet")
FOLDER = "humaneval"
"""Where HumanEval lies in the folder that LBT_DATA_DIR names."""
GIVE = f"give --data a file of code problems that ends in {' or '.join(ENDINGS)}, a folder with one, or hf"


@dataclass(frozen=True, kw_only=True)
class CodeData:
    """Teaching problems, and the bank of which their exams are made.

    Every example has the input `question` and the fields `program` (the reference; may be empty), `visible` and
    `hidden` (tuples of tests: Python snippets, or pairs of stdin and expected stdout), `entry_point`, `preamble`,
    `starter` (the code to go on from), `tags` (a tuple), `difficulty` and `unique_id`.
    """

    teaching: tuple[dspy.Example, ...]
    """Each has a hidden test at least; some have no visible ones."""
    bank: tuple[dspy.Example, ...]
    """Each has a visible test at least. Where there is one file these are the same problems as are taught."""
    source: str
    """What it was read from, without folders."""
    dropped: Mapping[str, int]
    """How many problems were left out, by reason."""


def load_code(data: str | None) -> CodeData:
    """Load code problems.

    Args:
        data: A `.jsonl` or `.parquet` file; a folder with `teaching.jsonl` and `exam.jsonl`, or with one such file;
            `hf`: HumanEval from the Hugging Face hub; `None`: the folder `humaneval` in `LBT_DATA_DIR`.

    Raises:
        UserError: The data is missing or unfit.
    """
    if data == HUB:
        way_out = f"check the network, or {GIVE.removesuffix(', or hf')}"
        return _code_data([some_rows(from_hub(*HUB_SET, way_out), HUB_SET[0])], [HUB_SET[0]], HUB_SET[0])
    path = Path(os.environ.get("LBT_DATA_DIR", ""), FOLDER) if data is None else Path(data)
    if data is None and not ("LBT_DATA_DIR" in os.environ and path.is_dir()):
        raise UserError(
            f"the task code ships no data; {GIVE}; without it LBT_DATA_DIR must name a folder with {FOLDER}"
        )
    files = _files(path)
    rows = [read_file(file, "--data") for file in files]
    return _code_data(rows, [file.name for file in files], path.resolve().name)


def _files(path: Path) -> list[Path]:
    """Return the file of all problems, or those of teaching problems and of the bank."""
    if path.is_file():
        return [_known(path)]
    if not path.is_dir():
        raise UserError(f"--data {path} does not exist; {GIVE}")
    layout = [path / name for name in LAYOUT]
    there = [file for file in layout if file.is_file()]
    if there and there != layout:
        missing = next(file.name for file in layout if file not in there)
        raise UserError(f"--data {path} has {there[0].name} but no {missing}; it needs both, or only one file")
    found = layout if there else sorted(file for file in path.iterdir() if ending_of(file) in ENDINGS)
    if not there and len(found) > 1:
        raise UserError(f"--data {path} has {some([f.name for f in found])}; name the one that is meant: --data FILE")
    packed = sorted(path.glob("*.gz"))
    return found or [_known(packed[0] if packed else path)]


def _known(path: Path) -> Path:
    """Return a file unless it cannot be read."""
    if ending_of(path) == ".gz":
        raise UserError(f"--data {path} is packed; unpack it (gunzip {path.name})")
    if path.is_dir() or ending_of(path) not in ENDINGS:
        raise UserError(f"--data {path} {'has no data' if path.is_dir() else 'has an unknown ending'}; {GIVE}")
    return path


def _code_data(tables: Sequence[Sequence[Row]], names: Sequence[str], source: str) -> CodeData:
    """Return the data of one table, or of one of teaching problems and one of the bank."""
    dropped: Counter[str] = Counter()
    problems = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler: what a test looks like is its author's affair
        for rows, name in zip(tables, names, strict=True):
            found, left_out = problems_of(rows, name)
            problems.append(found)
            dropped += left_out
    teaching, bank = ([fields for fields in problems[i] if fields[n]] for i, n in ((0, "hidden"), (-1, "visible")))
    dropped["teaching problems without hidden tests"] = len(problems[0]) - len(teaching)
    dropped["exam problems without visible tests"] = len(problems[-1]) - len(bank)
    for kept, what in ((teaching, "teaching problem with a hidden test"), (bank, "exam problem with a visible test")):
        if not kept:
            raise UserError(f"{source} has no {what}; {GIVE}")
    for field in ("unique_id", "question"):
        _check_different([fields[field] for fields in teaching], field, source)
    return CodeData(
        teaching=tuple(map(_example, teaching)),
        bank=tuple(map(_example, bank)),
        source=source,
        dropped={reason: count for reason, count in dropped.items() if count},
    )


def _check_different(values: Sequence[str], field: str, source: str) -> None:
    first: dict[str, int] = {}
    for number, value in enumerate(values, 1):
        if first.setdefault(" ".join(value.split()), number) != number:
            earlier = first[" ".join(value.split())]
            raise UserError(
                f"teaching problems {earlier} and {number} of {source} have the same {field} ({value[:60]!r}); teach "
                "each problem once"
            )


def _example(fields: Fields) -> dspy.Example:
    return dspy.Example(**fields).with_inputs("question")
