"""Is the data fit for an exemplar search? Asked before any call is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.shapes import check_examples
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.signatures import declared_type
from lbt_dspy.teleprompters.exemplars.metrics import AnyMetric, Metric
from lbt_dspy.teleprompters.exemplars.options import ExemplarOptions
from lbt_dspy.values import declared_label, label_text


def check_data(
    trainset: Sequence[dspy.Example],
    valset: Sequence[dspy.Example] | None,
    field: str,
    inputs: tuple[str, ...],
    exemplars: int,
    declared: Any = str,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the predictor's input fields that the training examples hold, and the labels.

    Args:
        trainset: Where exemplars come from.
        valset: Where selection examples come from, if not from `trainset`.
        field: Name of the label's field.
        inputs: Names of the predictor's input fields.
        exemplars: Size of an exemplar set.
        declared: Type of the label.

    Raises:
        UserError: A set is empty, lacks a field, has one label only or fewer examples than `exemplars`.
    """
    for name, examples in (("trainset", trainset), ("valset", valset)):
        if examples is None:
            continue
        check_examples(name, examples)
        if not examples:
            raise UserError(f"{name} is empty; give labelled examples")
        if any(field not in example for example in examples):
            raise UserError(f"an example of {name} has no field {field!r}; the predictor's label is needed")
    held = tuple(name for name in inputs if all(name in example for example in trainset))
    if not held:
        raise UserError(f"the training examples hold none of the predictor's input fields {', '.join(inputs)}")
    if exemplars > len(trainset):
        raise UserError(
            f"exemplars must be at most the {len(trainset)} training examples but got {exemplars}; "
            "give more data or ask for fewer"
        )
    counts = Counter(declared_label(example[field], declared) for example in trainset)
    if len(counts) < 2:
        raise UserError(
            f"all {len(trainset)} training examples have the one label {next(iter(counts))!r}; "
            "a classifier needs examples of two labels or more"
        )
    return held, tuple(sorted(counts))


def all_labels(predictor: dspy.Predict, field: str, seen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels that the predictor's signature allows, where it names them; else those that were seen."""
    declared = declared_type(predictor.signature, field)
    values: Iterable[object] = get_args(declared) if get_origin(declared) is Literal else ()
    if isinstance(declared, type) and issubclass(declared, Enum):
        values = declared
    allowed = tuple(map(label_text, values))
    return allowed if set(seen) <= set(allowed) else seen


def check_golds(metric: AnyMetric, trainset: Sequence[dspy.Example], valset: Sequence[dspy.Example] | None) -> None:
    """Raise `UserError` where a metric that knows its labels does not know that of an example."""
    check = getattr(metric, "check_golds", None)
    if not callable(check):
        return
    for name, examples in (("trainset", trainset), ("valset", valset or ())):
        try:
            check(examples)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None


def probabilities_wanted(
    options: ExemplarOptions, metric: Metric, readers: Sequence[dspy.LM], *, alone: bool
) -> tuple[bool, bool]:
    """Return whether sittings are to give label probabilities, and whether exams are to be scored by them.

    Args:
        options: `scoring` and the search decide.
        metric: Of sets; whether it can make use of probabilities decides too.
        readers: The LMs that are scored.
        alone: Whether the program is one predictor.

    Raises:
        UserError: Likelihoods are asked for, and one of the LMs is known to give no log-probabilities.
    """
    given = [engine_of(lm).gives_logprobs for lm in readers]
    if options.scoring == "likelihood":
        if False in given:
            name = readers[given.index(False)].model
            raise UserError(f"{name} gives no log-probabilities, which scoring='likelihood' needs; use 'metric'")
        return True, False
    can = alone and options.search == "utility" and all(given) and callable(getattr(metric, "expected", None))
    soft = options.scoring == "auto" and can
    return soft, soft
