"""M3: improve the in-context exemplars of a classifier by teaching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbt_dspy.lazy import face

if TYPE_CHECKING:
    from lbt_dspy.teleprompters.exemplars.metrics import Metric
    from lbt_dspy.teleprompters.exemplars.optimizer import LbTExemplars
    from lbt_dspy.teleprompters.exemplars.options import ExemplarOptions
    from lbt_dspy.teleprompters.exemplars.records import ExemplarSearch, ExemplarSet, Round, ScoredSet

_HOMES = {
    "LbTExemplars": "lbt_dspy.teleprompters.exemplars.optimizer",
    "ExemplarOptions": "lbt_dspy.teleprompters.exemplars.options",
    "Metric": "lbt_dspy.teleprompters.exemplars.metrics",
    "ExemplarSearch": "lbt_dspy.teleprompters.exemplars.records",
    "ExemplarSet": "lbt_dspy.teleprompters.exemplars.records",
    "Round": "lbt_dspy.teleprompters.exemplars.records",
    "ScoredSet": "lbt_dspy.teleprompters.exemplars.records",
}
__all__ = ["ExemplarOptions", "ExemplarSearch", "ExemplarSet", "LbTExemplars", "Metric", "Round", "ScoredSet"]
__getattr__, __dir__ = face(__name__, _HOMES)
