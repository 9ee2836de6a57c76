"""Set-level metrics of labels: `metric(golds, predictions) -> float`.

Each is defined once, on confusion counts, so that a bootstrap can recompute it on thousands of resamples at once. An
unreadable answer is a label of its own that is never right.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lbt_dspy.errors import UserError

Array = np.ndarray[Any, Any]
UNREADABLE = None
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")
LEAST_COUNT = 1e-12


class LabelMetric(ABC):
    """A metric of predicted labels.

    Args:
        labels: All labels of the task.
        field: Name of the label's field in golds and predictions.
    """

    name: str

    def __init__(self, labels: Sequence[str], field: str = "label") -> None:
        self.labels = tuple(labels)
        self.field = field

    def __call__(self, golds: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any] | None]) -> float:
        """Return the metric in [0, 1].

        Args:
            golds: Examples with the reference label.
            predictions: As many predictions; `None` is an unreadable answer.

        Raises:
            UserError: There is nothing to measure, or the lengths differ.
        """
        if len(golds) != len(predictions) or not golds:
            raise UserError(
                f"{self.name} needs as many predictions as golds, at least 1, but got {len(golds)} golds and "
                f"{len(predictions)} predictions"
            )
        cells = [
            (str(gold[self.field]), UNREADABLE if p is None else str(p[self.field]))
            for gold, p in zip(golds, predictions, strict=True)
        ]
        return float(self.of_confusion(self.one_hot(cells).sum(axis=0)))

    def expected(
        self,
        golds: Sequence[Mapping[str, Any]],
        probabilities: Sequence[Mapping[str, float] | None],
        repeats: Sequence[int] | None = None,
    ) -> float:
        """Return the metric of the expected counts when each answer is drawn from its label probabilities.

        Smoother than the metric of the likeliest labels, so it tells classifiers apart with fewer examples.

        Args:
            golds: Examples with the reference label.
            probabilities: As many distributions over the labels; what is missing to 1 is no label, as is `None`.
            repeats: How often each example counts; once when not given.
        """
        return self.expected_each(golds, probabilities, [[1] * len(golds) if repeats is None else repeats])[0]

    def expected_each(
        self,
        golds: Sequence[Mapping[str, Any]],
        probabilities: Sequence[Mapping[str, float] | None],
        repeats: Sequence[Sequence[int]],
    ) -> list[float]:
        """Return `expected` for each way to count the examples; 0 leaves one out."""
        index = {label: i for i, label in enumerate(self.labels)}
        hot = np.zeros((len(golds), len(index)))
        hot[np.arange(len(golds)), [index[str(gold[self.field])] for gold in golds]] = 1
        shares = np.array([[(given or {}).get(label, 0.0) for label in self.labels] for given in probabilities])
        answers = np.column_stack([shares, np.maximum(0.0, 1 - shares.sum(axis=1))])
        counts = np.einsum("we,er,ea->wra", np.array(repeats, float), hot, answers, optimize=False)
        return [float(value) for value in np.atleast_1d(self.of_confusion(counts))]

    def one_hot(self, cells: Sequence[tuple[str, str | None]]) -> Array:
        """Return shape (len(cells), labels, labels + 1): 1 at (reference, answer); the last answer is "none".

        Case and spacing of an answer, and how its characters are coded, do not matter.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        meant = {plain_label(label): i for i, label in enumerate(self.labels)} | index
        size = len(self.labels)
        hot = np.zeros((len(cells), size, size + 1))
        for row, (gold, answer) in enumerate(cells):
            if gold not in index:
                raise UserError(f"the reference label {gold!r} is none of the metric's: {', '.join(self.labels)}")
            column = size if answer is None else meant.get(answer, meant.get(plain_label(answer), size))
            hot[row, index[gold], column] = 1
        return hot

    @abstractmethod
    def of_confusion(self, confusion: Array) -> Array:
        """Return the metric of counts of shape (..., labels, labels + 1), as shape (...)."""


class Accuracy(LabelMetric):
    """Share of right answers."""

    name = "accuracy"

    def of_confusion(self, confusion: Array) -> Array:
        """Return the share of the diagonal."""
        right = np.trace(confusion, axis1=-2, axis2=-1)
        return np.asarray(right / np.maximum(confusion.sum(axis=(-2, -1)), 1))


class MacroF1(LabelMetric):
    """Unweighted mean of the F1 of every label that occurs as a reference; one without any right answer has F1 0.

    A label that is answered but never right to answer is no class of its own: it costs the others their recall. So all
    methods are averaged over the same labels.
    """

    name = "macro-f1"

    def of_confusion(self, confusion: Array) -> Array:
        """Return the mean over the labels that occur as reference."""
        f1, occurs = _f1_by_label(confusion)
        return np.asarray((f1 * occurs).sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1))


class BinaryF1(LabelMetric):
    """F1 of one positive label (the metric of M3 in arXiv 2406.14629); 0 when no positive is found.

    Args:
        positive: The label that counts as found.
        labels: All labels of the task.
        field: Name of the label's field.

    Raises:
        UserError: `positive` is none of the labels.
    """

    name = "f1"

    def __init__(self, positive: str, labels: Sequence[str] = ("0", "1"), field: str = "label") -> None:
        super().__init__(labels, field)
        if positive not in self.labels:
            raise UserError(f"positive must be one of the labels {', '.join(self.labels)} but got {positive!r}")
        self.positive = positive

    def of_confusion(self, confusion: Array) -> Array:
        """Return the F1 of the positive label."""
        f1, _ = _f1_by_label(confusion)
        return np.asarray(f1[..., self.labels.index(self.positive)])


def plain_label(label: str) -> str:
    """Return a label as answers are compared with it: without case, spacing, and how its characters are coded."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return " ".join(_INVISIBLE.sub("", plain).split()) or label.strip()


def _f1_by_label(confusion: Array) -> tuple[Array, Array]:
    """Return F1 and whether the label occurs as a reference, each of shape (..., labels)."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=-1) + confusion[..., :-1].sum(axis=-2)
    return 2 * right / np.maximum(total, LEAST_COUNT), confusion.sum(axis=-1) > 0


def default_metric(labels: Sequence[str], positive: str | None = None, field: str = "label") -> LabelMetric:
    """Return binary F1 for two classes and macro-F1 for more.

    Args:
        labels: The label of every training example.
        positive: The positive label; `None`: the rarer one (of equals the later in the alphabet).
        field: Name of the label's field.
    """
    counts = Counter(labels)
    names = sorted(counts)
    if len(names) > 2:
        return MacroF1(names, field)
    chosen = min(names, key=lambda name: (counts[name], [-ord(c) for c in name])) if positive is None else positive
    return BinaryF1(chosen, names, field)
