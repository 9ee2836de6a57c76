"""Labelled texts of a task: shipped, from a folder of JSONL files, or from the Hugging Face hub."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask, Pair, clean
from lbt_dspy.benchmarks.tasks.tables import Row, from_hub, nearest, parse_json_lines
from lbt_dspy.errors import UserError

HUB = "hf"
HELD_OUT = ("test", "dev")
Rows = dict[str, list[Row]]
"""The rows of each split."""


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """The examples of one task."""

    task: ClassificationTask
    source: str
    """What it was read from, without folders."""
    train: tuple[dspy.Example, ...]
    test: tuple[dspy.Example, ...]
    """Held out: never drawn from, never selected on. `test` and, where there is one, `dev`, as the paper does."""
    dropped: Mapping[str, int]


def load_data(task: str, source: str | None, filters: Iterable[str]) -> LabelledData:
    """Load the examples of a task.

    Args:
        task: `fallacy` or `liar`.
        source: A folder with `train.jsonl`, `test.jsonl` and perhaps `dev.jsonl` (fields `text`, `label`: 1 or 0);
            `hf`; or `None` for the shipped set.
        filters: `FIELD=VALUE`, each of which a row must meet.

    Raises:
        UserError: The data is missing or unfit.
    """
    module = importlib.import_module(f"lbt_dspy.benchmarks.tasks.classification.{task}")
    definition: ClassificationTask = module.TASK
    if source is None and module.SHIPPED is None:
        raise UserError(f"the task {task} ships no data; give --data DIR with train.jsonl and test.jsonl, or hf")
    if source is None:
        rows = _read_shipped(module.SHIPPED)
    elif source == HUB:
        rows = _read_hub(module)
    else:
        rows = _read_folder(Path(source))
    for wish in filters:
        rows = filtered(rows, wish)
    names = {"1": "Yes", "0": "No", "Yes": "Yes", "No": "No"}
    train = _pairs(rows["train"], names, "train")
    test = [pair for split in HELD_OUT if split in rows for pair in _pairs(rows[split], names, split)]
    train, test, dropped = clean(train, test)
    check_classes(train, test, dropped, source or "the shipped set", "--data and --filter")
    return labelled_data(definition, "shipped" if source is None else Path(source).name, train, test, dropped)


def check_classes(
    train: Sequence[Pair], test: Sequence[Pair], dropped: Mapping[str, int], source: str, way_out: str
) -> None:
    """Raise `UserError` when the training or the held-out examples have fewer than two classes."""
    for name, pairs in (("training", train), ("held-out", test)):
        counts = Counter(label for _, label in pairs)
        if len(counts) < 2:
            only = next(iter(counts), "no label at all")
            lost = f" after dropping {', '.join(f'{n} {reason}' for reason, n in dropped.items())}" if dropped else ""
            raise UserError(
                f"the {len(pairs)} {name} examples of {source} have only one class ({only}){lost}; "
                f"a classifier needs examples of two; check {way_out}"
            )


def labelled_data(
    task: ClassificationTask, source: str, train: Sequence[Pair], test: Sequence[Pair], dropped: Mapping[str, int]
) -> LabelledData:
    """Return the examples of cleaned pairs."""
    return LabelledData(
        task=task,
        source=source,
        train=tuple(task.example(*pair) for pair in train),
        test=tuple(task.example(*pair) for pair in test),
        dropped=dropped,
    )


def _pairs(rows: list[Row], names: Mapping[str, str], split: str) -> list[Pair]:
    pairs: list[Pair] = []
    for number, row in enumerate(rows, 1):
        label = str(row.get("label"))
        if not isinstance(row.get("text"), str):
            raise UserError(f"row {number} of {split} needs a text, a string, not {row.get('text')!r}")
        if label not in names:
            raise UserError(f"row {number} of {split} needs a label, 1 or 0, not {row.get('label')!r}")
        pairs.append(((row["text"],), names[label]))
    return pairs


def _read_shipped(name: str) -> Rows:
    folder = files("lbt_dspy.benchmarks") / "data"
    return {
        split: parse_json_lines((folder / f"{name}_{split}.jsonl").read_text(encoding="utf-8"), f"{name}_{split}.jsonl")
        for split in ("train", "test")
    }


def _read_folder(folder: Path) -> Rows:
    if not folder.is_dir():
        raise UserError(f"--data {folder} is no folder; give one with train.jsonl and test.jsonl, or hf")
    rows: Rows = {}
    for split in ("train", *HELD_OUT):
        path = folder / f"{split}.jsonl"
        if path.is_file():
            try:
                rows[split] = parse_json_lines(path.read_text(encoding="utf-8"), str(path))
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{path} cannot be read ({error}); it must be UTF-8 JSON lines") from None
    for split in ("train", "test"):
        if not rows.get(split):
            state = "an empty" if split in rows else "no"
            raise UserError(f"--data {folder} has {state} {split}.jsonl; it needs train.jsonl and test.jsonl")
    return rows


def _read_hub(module: Any) -> Rows:
    rows: Rows = {}
    for ours, theirs in module.HUB_SPLITS.items():
        table = from_hub(module.HUB, theirs, "check the network, or give --data DIR")
        rows[ours] = [row for row in map(module.read_hub_row, table) if row is not None]
    return rows


def filtered(rows: Rows, wish: str) -> Rows:
    """Return the rows that meet a wish, `FIELD=VALUE`.

    Raises:
        UserError: It is no such wish, no row has the field, or a split has no row left.
    """
    field, equals, value = wish.partition("=")
    if not equals or not field:
        raise UserError(f"--filter must be FIELD=VALUE but got {wish!r}")
    known = sorted({name for split in rows.values() for row in split for name in row})
    if field not in known:
        raise UserError(f"--filter: no row has a field {field!r}; {nearest(field, known)}known: {', '.join(known)}")
    kept = {split: [row for row in items if str(row.get(field)) == value] for split, items in rows.items()}
    if not kept["train"] or not any(kept.get(split) for split in HELD_OUT):
        values = Counter(str(row.get(field)) for row in rows["train"])
        known_values = ", ".join(name[:40] for name, _ in values.most_common(8))
        raise UserError(f"--filter {wish} leaves no rows; values of {field}: {known_values}")
    return kept
