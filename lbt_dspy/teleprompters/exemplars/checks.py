"""Is the data fit for an exemplar search? Asked before any call is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args, get_origin

import dspy

from lbt_dspy.dspy_private import input_names
from lbt_dspy.errors import UserError
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.teleprompters.exemplars.metrics import Metric
from lbt_dspy.teleprompters.exemplars.options import ExemplarOptions


def check_data(
    trainset: Sequence[dspy.Example],
    valset: Sequence[dspy.Example] | None,
    field: str,
    inputs: tuple[str, ...],
    exemplars: int,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the predictor's input fields that the training examples hold, and the labels.

    Args:
        trainset: Where exemplars come from.
        valset: Where selection examples come from, if not from `trainset`.
        field: Name of the label's field.
        inputs: Names of the predictor's input fields.
        exemplars: Size of an exemplar set.

    Raises:
        UserError: A set is empty, lacks a field, has one label only or fewer examples than `exemplars`.
    """
    for name, examples in (("trainset", trainset), ("valset", valset)):
        if examples is not None and not examples:
            raise UserError(f"{name} is empty; give labelled examples")
        if any(field not in example for example in examples or ()):
            raise UserError(f"an example of {name} has no field {field!r}; the predictor's label is needed")
        if any(input_names(example) is None for example in examples or ()):
            raise UserError(f"an example of {name} does not say which fields are inputs; call .with_inputs(...) on it")
    held = tuple(name for name in inputs if all(name in example for example in trainset))
    if not held:
        raise UserError(f"the training examples hold none of the predictor's input fields {', '.join(inputs)}")
    if exemplars > len(trainset):
        raise UserError(
            f"exemplars must be at most the {len(trainset)} training examples but got {exemplars}; "
            "give more data or ask for fewer"
        )
    counts = Counter(str(example[field]) for example in trainset)
    if len(counts) < 2:
        raise UserError(
            f"all {len(trainset)} training examples have the one label {next(iter(counts))!r}; "
            "a classifier needs examples of two labels or more"
        )
    return held, tuple(sorted(counts))


def all_labels(predictor: dspy.Predict, field: str, seen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels that the predictor's signature allows, where it names them; else those that were seen."""
    annotation = (
        predictor.signature.output_fields[field].annotation if field in predictor.signature.output_fields else str
    )
    allowed = tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()
    return allowed if set(seen) <= set(allowed) else seen


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
