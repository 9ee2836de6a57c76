"""The clients that are measured, and the size of an exam."""

from __future__ import annotations

BASELINE, EVALUATE = "aiohttp", "dspy-evaluate"
NAMES = (
    BASELINE, "litellm", EVALUATE, "dspy-parallel", "dspy-lean", "lbt-litellm", "lbt-lean", "lbt-lean-3",
)  # fmt: skip
EXAM_PROBLEMS = 3
"""After one lesson, as in the paper's exams."""
