"""M1: pick the best of many sampled answers by teaching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbt_dspy.lazy import face

if TYPE_CHECKING:
    from lbt_dspy.teleprompters.rerank.lessons import NoLesson, SampledLesson
    from lbt_dspy.teleprompters.rerank.optimizer import LbTRerank
    from lbt_dspy.teleprompters.rerank.options import LessonOptions, RerankOptions
    from lbt_dspy.teleprompters.rerank.program import RerankedProgram
    from lbt_dspy.teleprompters.rerank.records import ExamRecord, LessonRecord, Reranking

_HOMES = {
    "NoLesson": "lbt_dspy.teleprompters.rerank.lessons",
    "SampledLesson": "lbt_dspy.teleprompters.rerank.lessons",
    "LbTRerank": "lbt_dspy.teleprompters.rerank.optimizer",
    "LessonOptions": "lbt_dspy.teleprompters.rerank.options",
    "RerankOptions": "lbt_dspy.teleprompters.rerank.options",
    "RerankedProgram": "lbt_dspy.teleprompters.rerank.program",
    "ExamRecord": "lbt_dspy.teleprompters.rerank.records",
    "LessonRecord": "lbt_dspy.teleprompters.rerank.records",
    "Reranking": "lbt_dspy.teleprompters.rerank.records",
}
__all__ = [
    "ExamRecord",
    "LbTRerank",
    "LessonOptions",
    "LessonRecord",
    "NoLesson",
    "RerankOptions",
    "RerankedProgram",
    "Reranking",
    "SampledLesson",
]
__getattr__, __dir__ = face(__name__, _HOMES)
