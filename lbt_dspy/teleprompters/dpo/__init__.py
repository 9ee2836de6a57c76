"""M2: the teacher learns from its students' exams, by direct preference optimization of its lessons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbt_dspy.lazy import face

if TYPE_CHECKING:
    from lbt_dspy.teleprompters.dpo.optimizer import LbTDPO
    from lbt_dspy.teleprompters.dpo.options import DPOOptions, DPOSettings, Training
    from lbt_dspy.teleprompters.dpo.preferences import PreferenceData, PreferencePair, ScoredLesson, preference_pairs
    from lbt_dspy.teleprompters.dpo.provider import PreferenceProvider
    from lbt_dspy.teleprompters.dpo.scored_lessons import Lessons, scored_lessons
    from lbt_dspy.teleprompters.dpo.steps import Compared, Round, Tuned
    from lbt_dspy.teleprompters.dpo.trainer import train

_HOMES = {
    "LbTDPO": "lbt_dspy.teleprompters.dpo.optimizer",
    "DPOOptions": "lbt_dspy.teleprompters.dpo.options",
    "DPOSettings": "lbt_dspy.teleprompters.dpo.options",
    "Training": "lbt_dspy.teleprompters.dpo.options",
    "PreferenceData": "lbt_dspy.teleprompters.dpo.preferences",
    "PreferencePair": "lbt_dspy.teleprompters.dpo.preferences",
    "ScoredLesson": "lbt_dspy.teleprompters.dpo.preferences",
    "preference_pairs": "lbt_dspy.teleprompters.dpo.preferences",
    "PreferenceProvider": "lbt_dspy.teleprompters.dpo.provider",
    "Lessons": "lbt_dspy.teleprompters.dpo.scored_lessons",
    "scored_lessons": "lbt_dspy.teleprompters.dpo.scored_lessons",
    "Compared": "lbt_dspy.teleprompters.dpo.steps",
    "Round": "lbt_dspy.teleprompters.dpo.steps",
    "Tuned": "lbt_dspy.teleprompters.dpo.steps",
    "train": "lbt_dspy.teleprompters.dpo.trainer",
}
__all__ = [
    "Compared",
    "DPOOptions",
    "DPOSettings",
    "LbTDPO",
    "Lessons",
    "PreferenceData",
    "PreferencePair",
    "PreferenceProvider",
    "Round",
    "ScoredLesson",
    "Training",
    "Tuned",
    "preference_pairs",
    "scored_lessons",
    "train",
]
__getattr__, __dir__ = face(__name__, _HOMES)
