"""Text classification: a task, its examples, its program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dspy

from lbt_dspy.signatures import classification, field_names

Pair = tuple[tuple[str, ...], str]
"""The texts of an example, one per text field, and its label."""


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """What is asked about a text, and the answers it may have."""

    name: str
    question: str
    labels: tuple[str, ...]
    """Two or more."""
    positive: str | None
    """The label whose F1 is reported; `None` with more than two labels: macro-F1."""
    text_fields: tuple[str, ...] = ("text",)
    """As the data names them; the program's names of these fields are `inputs`."""
    label_field: str = "label"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the program's input fields, in the order of `text_fields`."""
        names = field_names((*self.text_fields, self.label_field))
        return tuple(names[field] for field in self.text_fields)

    @property
    def output(self) -> str:
        """Name of the program's output field."""
        return field_names((*self.text_fields, self.label_field))[self.label_field]

    def program(self) -> dspy.Predict:
        """Return the program: one `dspy.Predict` without demonstrations."""
        return dspy.Predict(
            classification(self.question, self.labels, text_field=self.text_fields, label_field=self.label_field)
        )

    def example(self, texts: tuple[str, ...], label: str) -> dspy.Example:
        """Return a labelled example, with one text per text field."""
        inputs = dict(zip(self.inputs, texts, strict=True))
        return dspy.Example(**inputs, **{self.output: label}).with_inputs(*inputs)


def plain_text(text: str) -> str:
    """Return a text as it is compared with others: without case and spacing."""
    return " ".join(text.casefold().split())


def plain_texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts of an example as they are compared with others."""
    return tuple(map(plain_text, texts))


def clean(train: Sequence[Pair], test: Sequence[Pair]) -> tuple[list[Pair], list[Pair], dict[str, int]]:
    """Drop texts that carry several labels anywhere, repeats, and test texts that are also training texts.

    Two examples have the same text when all of their text fields have; one is empty when all are.

    Args:
        train: (texts, label) pairs.
        test: (texts, label) pairs.

    Returns:
        The kept pairs of each split, and how many were dropped for which reason.
    """
    labels: dict[tuple[str, ...], set[str]] = {}
    for texts, label in (*train, *test):
        labels.setdefault(plain_texts(texts), set()).add(label)
    seen: set[tuple[str, ...]] = set()
    dropped = {"several labels": 0, "repeated": 0, "empty": 0}

    def reason_against(key: tuple[str, ...]) -> str | None:
        if not any(key):
            return "empty"
        if len(labels[key]) > 1:
            return "several labels"
        return "repeated" if key in seen else None

    def keep(pairs: Iterable[Pair]) -> list[Pair]:
        kept = []
        for texts, label in pairs:
            key = plain_texts(texts)
            reason = reason_against(key)
            if reason is not None:
                dropped[reason] += 1
            else:
                seen.add(key)
                kept.append((texts, label))
        return kept

    return keep(train), keep(test), {reason: n for reason, n in dropped.items() if n}
