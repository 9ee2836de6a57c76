"""Text classification: a task, its examples, its program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dspy

from lbt_dspy.signatures import classification


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """What is asked about a text, and the answers it may have."""

    name: str
    question: str
    labels: tuple[str, ...]
    positive: str
    """The label whose F1 is reported."""
    text_field: str = "text"
    label_field: str = "label"

    def program(self) -> dspy.Predict:
        """Return the program: one `dspy.Predict` without demonstrations."""
        return dspy.Predict(
            classification(self.question, self.labels, text_field=self.text_field, label_field=self.label_field)
        )

    def example(self, text: str, label: str) -> dspy.Example:
        """Return a labelled example."""
        return dspy.Example(**{self.text_field: text, self.label_field: label}).with_inputs(self.text_field)


def plain_text(text: str) -> str:
    """Return a text as it is compared with others: without case and spacing."""
    return " ".join(text.casefold().split())


def clean(
    train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]], dict[str, int]]:
    """Drop texts that carry several labels anywhere, repeats, and test texts that are also training texts.

    Args:
        train: (text, label) pairs.
        test: (text, label) pairs.

    Returns:
        The kept pairs of each split, and how many were dropped for which reason.
    """
    labels: dict[str, set[str]] = {}
    for text, label in (*train, *test):
        labels.setdefault(plain_text(text), set()).add(label)
    seen: set[str] = set()
    dropped = {"several labels": 0, "repeated": 0, "empty": 0}

    def keep(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        kept = []
        for text, label in pairs:
            key = plain_text(text)
            reason = (
                "empty" if not key else "several labels" if len(labels[key]) > 1 else "repeated" if key in seen else ""
            )
            if reason:
                dropped[reason] += 1
            else:
                seen.add(key)
                kept.append((text, label))
        return kept

    return keep(train), keep(test), {reason: n for reason, n in dropped.items() if n}
