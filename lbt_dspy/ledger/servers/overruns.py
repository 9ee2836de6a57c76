"""Servers that count more tokens than could be asked of them: said once, and expected from then on."""

from __future__ import annotations

from lbt_dspy.lms.engine import ModelEngine
from lbt_dspy.lms.fleet.sections import warn_once

ROUNDING = 1e-9


class Overruns:
    """By model, how many times its worst case a reply has cost."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def expected(self, engine: ModelEngine, worst: float | None) -> float | None:
        """Return the worst case of a request, in the light of earlier replies."""
        return None if worst is None else worst * self._ratios.get(engine.name, 1.0)

    def note(self, engine: ModelEngine, worst: float | None, cost: float) -> None:
        """Take note of what a reply cost, where `worst` was expected."""
        if not worst or cost <= worst * (1 + ROUNDING):
            return
        self._ratios[engine.name] = self._ratios.get(engine.name, 1.0) * cost / worst
        warn_once(
            f"a reply of {engine.name} counts tokens for ${cost:.4f}, more than the ${worst:.4f} that its prompt and "
            "max_tokens allow: its server does not keep max_tokens, or adds to prompts; later calls reserve as much"
        )
