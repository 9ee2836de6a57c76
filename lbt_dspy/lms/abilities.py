"""What DSPy's adapters ask of an LM before they write a request: does the model call functions, or keep to a schema?

They look it up by the LM's model string, or ask its engine. Ours answers as for the model behind a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import dspy

from lbt_dspy.lms.config import CONNECTION_SETTINGS, Deployment


class Abilities(NamedTuple):
    """What a model can do, so far as it is known."""

    function_calling: bool = False
    reasoning: bool = False
    response_schema: bool = False
    params: frozenset[str] = frozenset()
    """The settings that it takes, as OpenAI's chat API names them."""


class Able:
    """An engine that says what DSPy asks of engines; by default its model can do nothing but write text."""

    @property
    def abilities(self) -> Abilities:
        """What the model can do."""
        return Abilities()

    @property
    def supports_function_calling(self) -> bool:
        """Whether adapters may send tools."""
        return self.abilities.function_calling

    @property
    def supports_reasoning(self) -> bool:
        """Whether the model's thoughts come beside its text."""
        return self.abilities.reasoning

    @property
    def supports_response_schema(self) -> bool:
        """Whether it keeps to a `response_format` that is a schema."""
        return self.abilities.response_schema

    @property
    def supported_params(self) -> frozenset[str]:
        """The settings that it takes."""
        return self.abilities.params


def abilities_of(deployments: Sequence[Deployment]) -> Abilities:
    """Return what all of the deployments can do, of which any may answer."""
    each = [_abilities(deployment) for deployment in deployments]
    return Abilities(
        all(a.function_calling for a in each), all(a.reasoning for a in each), all(a.response_schema for a in each),
        frozenset.intersection(*(a.params for a in each)),
    )  # fmt: skip


def _abilities(deployment: Deployment) -> Abilities:
    """Return what DSPy says of the same model in a plain `dspy.LM`; what `model_info` says goes before it."""
    connection = {k: v for k, v in deployment.params.items() if k in CONNECTION_SETTINGS}
    model = str(deployment.info.get("base_model") or deployment.params["model"])
    try:
        lm = dspy.LM(model, **connection)
        known = Abilities(
            lm.supports_function_calling, lm.supports_reasoning, lm.supports_response_schema,
            frozenset(lm.supported_params),
        )  # fmt: skip
    except Exception:  # a model that neither DSPy nor LiteLLM knows
        known = Abilities()
    said = {
        name: bool(deployment.info[f"supports_{name}"])
        for name in ("function_calling", "reasoning", "response_schema")
        if deployment.info.get(f"supports_{name}") is not None
    }
    params = set(known.params) | ({"tools", "tool_choice"} if said.get("function_calling") else set())
    return known._replace(
        **said, params=frozenset(params | ({"response_format"} if said.get("response_schema") else set()))
    )
