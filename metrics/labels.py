"""Set-level metrics of labels: `metric(golds, predictions) -> float`.

Each is defined once, on confusion counts, so that a bootstrap can recompute it on thousands of resamples at once. An
unreadable answer is a label of its own that is never right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lbt_dspy.errors import UserError
from lbt_dspy.values import Labels, label_text

Array = np.ndarray[Any, Any]
UNREADABLE = None
LEAST_COUNT = 1e-12


class LabelMetric(ABC):
    """A metric of predicted labels.

    A label may be a text or a value: 1, `True`, an Enum's member (see `lbt_dspy.values.Labels`).

    Args:
        labels: All labels of the task.
        field: Name of the label's field in golds and predictions.
    """

    name: str

    def __init__(self, labels: Iterable[object], field: str = "label") -> None:
        self._labels = Labels(labels)
        self.labels = self._labels.names
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
            (self.label_of(gold), UNREADABLE if p is None else self._labels.find(p[self.field]))
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
        hot[np.arange(len(golds)), [index[self.label_of(gold)] for gold in golds]] = 1
        shares = np.array([[(given or {}).get(label, 0.0) for label in self.labels] for given in probabilities])
        answers = np.column_stack([shares, np.maximum(0.0, 1 - shares.sum(axis=1))])
        counts = np.einsum("we,er,ea->wra", np.array(repeats, float), hot, answers, optimize=False)
        return [float(value) for value in np.atleast_1d(self.of_confusion(counts))]

    def one_hot(self, cells: Sequence[tuple[str, str | None]]) -> Array:
        """Return shape (len(cells), labels, labels + 1): 1 at (reference, answer); the last answer is "none".

        Case and spacing of an answer, and how its characters are coded, do not matter.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        size = len(self.labels)
        hot = np.zeros((len(cells), size, size + 1))
        for row, (gold, answer) in enumerate(cells):
            known = None if answer is None else self._labels.find(answer)
            hot[row, index[self._known(gold)], size if known is None else index[known]] = 1
        return hot

    def label_of(self, gold: Mapping[str, Any]) -> str:
        """Return the label of an example.

        Raises:
            UserError: It has none, or one that is not among the labels.
        """
        if self.field not in gold:
            known = ", ".join(map(str, gold.keys()))
            raise UserError(
                f"the metric reads the field {self.field!r} of examples, which have {known}; give it field="
            )
        return self._known(gold[self.field])

    def check_golds(self, golds: Sequence[Mapping[str, Any]]) -> None:
        """Raise `UserError` where an example has no label, or one that is not among the labels."""
        for number, gold in enumerate(golds, 1):
            try:
                self.label_of(gold)
            except UserError as error:
                raise UserError(f"example {number}: {error}") from None

    def find(self, value: object) -> str | None:
        """Return the label that an answer is, `None` for none."""
        return self._labels.find(value)

    def _known(self, gold: object) -> str:
        found = self._labels.find(gold)
        if found is None:
            raise UserError(
                f"the reference label {label_text(gold)!r} is none of the metric's: {', '.join(self.labels)}; give it "
                "all labels, or correct the example"
            )
        return found

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

    def __init__(self, positive: object, labels: Iterable[object] = ("0", "1"), field: str = "label") -> None:
        super().__init__(labels, field)
        found = label_text(positive)
        if found not in self.labels:
            raise UserError(f"positive must be one of the labels {', '.join(self.labels)} but got {positive!r}")
        self.positive = found

    def of_confusion(self, confusion: Array) -> Array:
        """Return the F1 of the positive label."""
        f1, _ = _f1_by_label(confusion)
        return np.asarray(f1[..., self.labels.index(self.positive)])


def _f1_by_label(confusion: Array) -> tuple[Array, Array]:
    """Return F1 and whether the label occurs as a reference, each of shape (..., labels)."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=-1) + confusion[..., :-1].sum(axis=-2)
    return 2 * right / np.maximum(total, LEAST_COUNT), confusion.sum(axis=-1) > 0


def default_metric(labels: Iterable[object], positive: object = None, field: str = "label") -> LabelMetric:
    """Return binary F1 for two classes and macro-F1 for more.

    Args:
        labels: The label of every training example.
        positive: The positive label; `None`: the rarer one (of equals the later in the alphabet).
        field: Name of the label's field.
    """
    counts = Counter(map(label_text, labels))
    names = sorted(counts)
    if len(names) > 2:
        return MacroF1(names, field)
    chosen = min(names, key=lambda name: (counts[name], [-ord(c) for c in name])) if positive is None else positive
    return BinaryF1(chosen, names, field)
