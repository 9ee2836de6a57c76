"""The choices and bounds of an exemplar search, for whoever checks them; imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, get_args

from lbt_dspy.errors import UserError, check_at_least, check_choice

HIDDEN = "***"
SearchName = Literal["utility", "beam", "tpe"]
InitName = Literal["train", "generate"]
EvaluatorName = Literal["full", "halving", "rejects", "ucb"]
ReaderName = Literal["teacher", "students"]
ScoringName = Literal["auto", "metric", "likelihood"]
CHOICES: dict[str, tuple[str, ...]] = {
    "search": get_args(SearchName),
    "init": get_args(InitName),
    "evaluator": get_args(EvaluatorName),
    "selection": get_args(ReaderName),
    "scoring": get_args(ScoringName),
}
BOUNDS = {
    "exemplars": 1, "rounds": 0, "evaluations": 1, "selection_examples": 1, "minibatch": 1, "reflections": 1,
    "cases_per_reflection": 1, "reflection_mix": 1, "beam": 1, "max_new_sets": 1, "paraphrases": 0, "pool": 2,
    "draw": 1,
}  # fmt: skip
"""The least value of each number."""
MAY_BE_OWN = ("search", "evaluator")
"""Policies that a function of the user's own may take the place of."""
MAY_BE_NONE = ("evaluations", "draw")
ONLY_FOR = {
    "evaluator": "beam", "paraphrases": "beam", "max_new_sets": "beam", "pool": "utility", "draw": "utility",
    "storage": "tpe",
}  # fmt: skip
"""Options that one search alone looks at."""


def check_options(
    values: dict[str, Any], defaults: dict[str, Any], spelt: Callable[[str], str] = str, hint: str = ""
) -> None:
    """Check the choices and numbers of a search, and that it looks at all that it was given.

    Args:
        values: The options of a search, by name.
        defaults: The default of each of them.
        spelt: How the user spells an option.
        hint: Where defaults can be looked up.

    Raises:
        UserError: A value is out of bounds, or the chosen search would not look at it.
    """
    for name, choices in CHOICES.items():
        if name in values and not (name in MAY_BE_OWN and callable(values[name])):
            check_choice(spelt(name), values[name], choices)
    for name, least in BOUNDS.items():
        if name in values and not (name in MAY_BE_NONE and values[name] is None):
            check_at_least(spelt(name), values[name], least, hint)
    for name, search in ONLY_FOR.items():
        if name in values and values[name] != defaults[name] and values["search"] != search:
            raise UserError(
                f"{spelt(name)} is for {spelt('search')} {search} but the search is {values['search']}; "
                f"ask for {search}, or leave it out"
            )


def without_password(url: str) -> str:
    """Return a URL with its password hidden, and all values of its query."""
    return re.sub(r"([?&][^=&]*)=[^&]*", rf"\1={HIDDEN}", re.sub(r"//([^:/@]*):.*@", rf"//\1:{HIDDEN}@", url))
