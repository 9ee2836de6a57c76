"""A classification task of the user's own: labelled rows of files or Hugging Face data sets, and a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from unicodedata import is_normalized, normalize

from lbt_dspy.benchmarks.tasks.classification.data import LabelledData, check_classes, filtered, labelled_data
from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask, Pair, clean
from lbt_dspy.benchmarks.tasks.tables import Row, cell_text, check_columns, is_file, nearest, read_rows, some
from lbt_dspy.errors import UserError
from lbt_dspy.metrics.labels import BinaryF1, default_metric
from lbt_dspy.values import plain_label

_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
_TRUTH = {"true": "1", "false": "0"}


class OwnTask(Protocol):
    """What is said of a task of the user's own; see the flags of `lbt --train`."""

    @property
    def task(self) -> str:
        """Its name."""

    @property
    def train(self) -> str | None:
        """Where the training examples are."""

    @property
    def test(self) -> str | None:
        """Where the held-out examples are."""

    @property
    def question(self) -> str | None:
        """What is asked about a text."""

    @property
    def text_field(self) -> tuple[str, ...]:
        """The columns with the texts."""

    @property
    def label_field(self) -> str:
        """The column with the label."""

    @property
    def positive(self) -> str | None:
        """Of two labels the one whose F1 counts; `None`: the rarer one."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels; empty: those of the training examples."""

    @property
    def filter(self) -> tuple[str, ...]:
        """Only such rows are used."""


def load_own_data(settings: OwnTask) -> LabelledData:
    """Load the examples that `--train` and `--test` name.

    Args:
        settings: Files, fields, labels and question of the task.

    Raises:
        UserError: The data is missing or unfit.
    """
    sources = {"train": str(settings.train), "test": str(settings.test)}
    names = {split: source_name(source) for split, source in sources.items()}
    rows = {split: read_rows(source, f"--{split}", split) for split, source in sources.items()}
    for split, read in rows.items():
        check_columns(read, settings.text_field, "--text-field", names[split])
        check_columns(read, (settings.label_field,), "--label-field", names[split])
    numbers = {id(row): number for read in rows.values() for number, row in enumerate(read, 1)}
    for wish in settings.filter:
        rows = filtered(rows, wish)
    pairs = {
        split: [_pair(row, settings, f"row {numbers[id(row)]} of {names[split]}") for row in kept]
        for split, kept in rows.items()
    }
    labels = settings.labels or tuple(sorted({label for _, label in pairs["train"]}))
    _check_spelling(labels)
    for split, kept in rows.items():
        for row, (_, label) in zip(kept, pairs[split], strict=True):
            if label not in labels:
                raise _unknown_label(label, labels, f"row {numbers[id(row)]} of {names[split]}", settings)
    train, test, dropped = clean(pairs["train"], pairs["test"])
    source = ", ".join(dict.fromkeys(names.values()))
    check_classes(train, test, dropped, source, "the files, --label-field and --filter")
    task = ClassificationTask(
        name=settings.task,
        question=str(settings.question),
        labels=labels,
        positive=_positive(settings.positive, labels, train),
        text_fields=settings.text_field,
        label_field=settings.label_field,
    )
    return labelled_data(task, source, train, test, dropped)


def source_name(source: str) -> str:
    """Return the name of a file without its folder, or that of a data set."""
    return Path(source).name if is_file(source) else source


def texts_of(row: Row, fields: Sequence[str], place: str) -> tuple[str, ...]:
    """Return the texts of a row.

    Raises:
        UserError: A cell holds a list or an object.
    """
    texts = {field: cell_text(row.get(field)) for field in fields}
    for field, text in texts.items():
        if text is None:
            raise UserError(f"{place} needs text in {field!r}, not {str(row[field])[:60]}")
    return tuple(text or "" for text in texts.values())


def _pair(row: Row, settings: OwnTask, place: str) -> Pair:
    value = row.get(settings.label_field)
    text = cell_text(value)
    if text is None:
        kind = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "bytes"
        raise UserError(
            f"{place} holds {kind} in {settings.label_field!r}, {str(value)[:60]}; give it one label as text"
        )
    label = text.strip()
    if not label:
        raise UserError(f"{place} has no label in {settings.label_field!r}; give it one, or leave the row out")
    return texts_of(row, settings.text_field, place), label


def _unknown_label(label: str, labels: Sequence[str], place: str, settings: OwnTask) -> UserError:
    hint = nearest(label, labels)
    other = next((known for known in labels if class_key(known) == class_key(label)), label)
    if other != label and not _differ_in_case(other, label):
        return UserError(f"{place} has the label {label[:60]!r}, but {_differ(other, label)}; use one spelling")
    if settings.labels:
        return UserError(f"{place} has the label {label[:60]!r}, which is not in --labels {some(labels)}; {hint}add it")
    return UserError(
        f"{place} has the label {label[:60]!r}, which no training row has ({some(labels)}); {hint}correct it, or name "
        "all labels with --labels"
    )


def class_key(label: str) -> str:
    """Return a key that is equal for labels which can only mean one class: "Spam" and "spam", "1", "1.0" and "True"."""
    plain = plain_label(label)
    whole = _WHOLE.fullmatch(plain)
    return _TRUTH.get(plain, plain) if whole is None else whole[1]


def _check_spelling(labels: Sequence[str]) -> None:
    spelled: dict[str, str] = {}
    for label in labels:
        other = spelled.setdefault(class_key(label), label)
        if other != label:
            raise UserError(f"the labels {_differ(other, label)}; use one spelling")


def _differ_in_case(one: str, other: str) -> bool:
    return one.casefold() == other.casefold() and all(is_normalized("NFKC", label) for label in (one, other))


def _differ(one: str, other: str) -> str:
    if _differ_in_case(one, other):
        return f"{one!r} and {other!r} differ only in case"
    if plain_label(one) == plain_label(other):
        return f"{one!a} and {other!a} differ only in spacing or in how their characters are coded"
    return f"{one!r} and {other!r} mean the same"


def _positive(wish: str | None, labels: Sequence[str], train: Sequence[Pair]) -> str | None:
    """Return the label whose F1 is reported, `None` for more than two labels."""
    if wish is not None and wish not in labels:  # a keyboard may code characters in another way than the file
        wish = next((label for label in labels if normalize("NFC", label) == normalize("NFC", wish)), wish)
    if wish is not None and wish not in labels:
        raise UserError(f"--positive {wish} is none of the labels; {nearest(wish, labels)}they are: {some(labels)}")
    if len(labels) > 2:
        if wish is not None:
            raise UserError(f"--positive {wish} needs two labels but there are {len(labels)}; leave it out: macro-F1")
        return None
    metric = default_metric([label for _, label in train], wish)
    return metric.positive if isinstance(metric, BinaryF1) else None
