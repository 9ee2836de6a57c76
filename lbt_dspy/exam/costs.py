"""What a call costs before it is made: from the lengths of the texts that could be in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from lbt_dspy.exam.render import Renderer
from lbt_dspy.lms.user_lm import engine_of

CHARACTERS_PER_TOKEN = 4
Costs = tuple[float | None, float | None]
"""Of one call, about and at most, in US dollars; `None`: unknown price."""


def costs_of_call(
    renderer: Renderer, lm: dspy.LM, examples: Sequence[dspy.Example], *, shown: int, answer: int = 16
) -> Costs:
    """Return about what a call costs, and the most it can cost.

    About: a question, and demonstrations, of median length. The most: the longest of both, a token per byte, an answer
    as long as it may be.

    Args:
        renderer: Writes the prompts.
        lm: Who is asked.
        examples: What is asked and shown, at least one.
        shown: Demonstrations in a prompt, at least 0.
        answer: Tokens that an answer has about, at least 1.
    """
    engine, fields = engine_of(lm), list(renderer.signature.input_fields)
    by_length = sorted(examples, key=lambda example: _length(example, fields))

    def request(asked: Sequence[dspy.Example]) -> Any:
        inputs: Mapping[str, Any] = {name: asked[-1].get(name, "") for name in fields}
        return renderer.prefix(asked[:shown], lm, engine, {}, 0).call(inputs).request

    middle, longest = [by_length[len(by_length) // 2]] * max(shown, 1), by_length[-max(shown, 1) :]
    return engine.likely_cost(request(middle), answer), engine.worst_cost(request(longest))


def tokens_of(text: str) -> int:
    """Return about how many tokens a text has."""
    return len(text) // CHARACTERS_PER_TOKEN


def _length(example: dspy.Example, fields: Sequence[str]) -> int:
    return sum(len(str(example.get(name, ""))) for name in fields)
