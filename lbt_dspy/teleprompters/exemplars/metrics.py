"""Metrics of an exemplar search: of a whole set of answers, or DSPy's of one, told apart before any call."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dspy
import numpy as np

from lbt_dspy.errors import LbTError, UserError

Predictions = Sequence[dspy.Prediction | None]


class Metric(Protocol):
    """Scores the answers to several examples together.

    It may also have `expected(golds, probabilities)`, as all of `lbt_dspy.metrics` have: the expected score where each
    label of an answer has a probability, which is less noisy; `find(answer)`: the name that it has for a label; and
    `check_golds(golds)`, which is called before anything is asked, and raises `UserError` for labels it does not know.
    """

    def __call__(self, golds: Sequence[dspy.Example], predictions: Predictions) -> float:
        """Return the score; higher is better.

        Args:
            golds: The examples, with their labels.
            predictions: The answers, in the same order; `None` is an unreadable one.
        """


AnyMetric = Metric | Callable[..., Any]
"""A `Metric`, or a metric of DSPy: `(example, prediction, trace=None) -> float | bool`."""


@dataclass(frozen=True)
class MeanOf:
    """The mean of a metric of DSPy over the answers; an unreadable one has 0."""

    metric: Callable[..., Any]

    def __call__(self, golds: Sequence[dspy.Example], predictions: Predictions) -> float:
        """Return the mean."""
        marks = [0.0 if p is None else float(self.metric(g, p)) for g, p in zip(golds, predictions, strict=True)]
        return sum(marks) / len(marks)


def set_level(metric: AnyMetric, example: dspy.Example, outputs: Sequence[str]) -> Metric:
    """Return a metric of sets: the given one, or the mean of one of DSPy's.

    Both are tried on one example with its own labels as the answer: a metric of sets takes lists, one of DSPy's the
    example itself. A parameter named `trace`, which DSPy gives, says that it is one of DSPy's.

    Args:
        metric: What was given.
        example: A labelled example.
        outputs: The fields that a prediction has; those that the example has not are empty.

    Raises:
        UserError: It is neither.
    """
    if isinstance(metric, type):
        raise UserError(f"metric is the class {metric.__name__}; make one, e.g. BinaryF1('Yes', ('Yes', 'No'))")
    right = dspy.Prediction(**{name: example.get(name, "") for name in outputs})
    tries: list[tuple[str, Metric, tuple[Any, Any]]] = [
        ("(golds, predictions)", metric, ([example], [right])),
        ("(example, prediction, trace=None)", MeanOf(metric), (example, right)),
    ]
    failures = []
    for form, made, (gold, prediction) in reversed(tries) if "trace" in _parameters(metric) else tries:
        try:
            score = metric(gold, prediction)
        except Exception as error:  # whatever a function of the user's raises where it is called in another way
            failures.append(f"as {form} it raises {type(error).__name__}: {str(error)[:100]}")
            continue
        if _is_score(score) and not (made is metric and isinstance(score, bool)):
            _check_on_wrong(made, example, right)
            return made
        failures.append(f"as {form} it gives {score!r}")
    raise UserError(
        "metric must be (golds, predictions) -> float, such as lbt_dspy.metrics.BinaryF1, or DSPy's (example, "
        f"prediction, trace=None) -> float | bool, but on one example {'; '.join(failures)}"
    )


def score_of(metric: Metric, golds: Sequence[dspy.Example], predictions: Predictions) -> float:
    """Return a metric's score.

    Raises:
        UserError: It raised, or gave none: the metric is to be mended.
    """
    try:
        score = metric(golds, predictions)
    except LbTError:
        raise
    except Exception as error:  # a metric of the user's may raise anything
        raise UserError(
            f"metric raised {type(error).__name__}: {str(error)[:100]}; it must take whatever a model may answer, and "
            "None for what cannot be read"
        ) from error
    if not _is_score(score):
        raise UserError(f"metric must give a finite number but gave {score!r} for {len(golds)} answers")
    return float(score)


def _check_on_wrong(metric: Metric, example: dspy.Example, right: dspy.Prediction) -> None:
    """Raise `UserError` where a metric gives no score for a wrong answer, as one without a last `return` does."""
    wrong = dspy.Prediction(**{name: f"not {value}" for name, value in right.items()})
    function = metric.metric if isinstance(metric, MeanOf) else metric
    try:
        score = function(example, wrong) if isinstance(metric, MeanOf) else metric([example], [wrong])
    except Exception:  # it may want an answer of another kind than this one
        return
    if not _is_score(score):
        raise UserError(f"metric must give a number for every answer but on a wrong one it gives {score!r}")


def _parameters(metric: Callable[..., Any]) -> Sequence[str]:
    try:
        return list(inspect.signature(metric).parameters)
    except (TypeError, ValueError):  # some callables of C tell nothing
        return ()


def _is_score(value: object) -> bool:
    return isinstance(value, numbers.Real | np.bool_) and math.isfinite(value)
