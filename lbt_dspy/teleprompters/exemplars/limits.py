"""How much a search can take at most, before it makes a call."""

from __future__ import annotations

from dataclasses import dataclass

from lbt_dspy.errors import UserError
from lbt_dspy.teleprompters.exemplars.options import ExemplarOptions

LEAST_SCORINGS = 3
"""A search needs context for scoring this many sets on all selection examples."""
SEED_SETS = 16
"""Sets that `tpe` can start from."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a search can take; calls that are paid for already count."""

    evaluations: int
    """Evaluations: one set on one selection example, by each reader."""
    examined: int
    """Sets after which each student answers a minibatch."""
    written: int
    """Texts of the teacher."""


def limits_of(options: ExemplarOptions, selection: int) -> Limits:
    """Return the limits of a search.

    Args:
        options: Its options.
        selection: Number of selection examples there are, at least 1.
    """
    criticised = _criticised(options)
    fresh = min(options.max_new_sets, options.reflections * (1 + options.paraphrases))
    paraphrases = criticised * options.reflections * options.paraphrases
    return Limits(
        evaluations=evaluations_of(options, selection, fresh),
        examined=criticised,
        written=2 * criticised * options.reflections + paraphrases + (options.init == "generate"),
    )


def larger_than_data(options: ExemplarOptions, train: int, selection: int) -> dict[str, str]:
    """Return what is said of each option that asks for more than there is, of which all is taken.

    Args:
        options: The search's.
        train: Number of training examples.
        selection: Number of examples that sets can be scored on.
    """
    there = {"selection_examples": (selection, "examples to score on"), "minibatch": (train, "training examples")}
    if options.search == "utility":
        there["pool"] = (train, "training examples")
        there["draw"] = (min(selection, options.selection_examples), "selection examples")
    asked = {name: getattr(options, name) for name in there}
    return {
        name: f"{name} is {asked[name]:,} but there are {have:,} {what}: all of them are taken"
        for name, (have, what) in there.items()
        if asked[name] is not None and asked[name] > have
    }


def evaluations_of(options: ExemplarOptions, selection: int, fresh: int) -> int:
    """Return the budget of evaluations: the given one, or as many as `beam` needs at most (half with an evaluator).

    Args:
        options: The search's.
        selection: Number of selection examples.
        fresh: Most new sets per kept set and round.

    Raises:
        UserError: The given one is too small to be of use.
    """
    if options.evaluations is not None:
        least = LEAST_SCORINGS * selection
        if options.evaluations < least and options.rounds:
            raise UserError(
                f"evaluations must be at least {least}, {LEAST_SCORINGS} times the {selection} selection examples, but "
                f"got {options.evaluations}; give more, or fewer selection examples"
            )
        return options.evaluations
    most = max(LEAST_SCORINGS, 1 + sum(_kept(options)) * fresh) * selection
    return most if options.evaluator == "full" else most // 2


def _kept(options: ExemplarOptions) -> list[int]:
    """Return how many sets `beam` criticises in each round."""
    return [1, *[options.beam] * (options.rounds - 1)] if options.rounds else []


def _criticised(options: ExemplarOptions) -> int:
    if options.search == "beam":
        return sum(_kept(options))
    if options.search == "utility":
        return options.rounds
    return SEED_SETS if options.rounds else 0
