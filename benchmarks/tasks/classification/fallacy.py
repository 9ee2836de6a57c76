"""Is a text a faulty generalization? A task of M3, arXiv 2406.14629.

Shipped: `data/fallacy_{train,test}.jsonl`, short English arguments written for this library (MIT, see
`data/README.md`). With `--data hf`: tasksource/logical-fallacy, i.e. the LOGIC and LogicClimate sets of Jin et al.,
"Logical Fallacy Detection", arXiv 2202.13758 (no licence stated; not shipped).

One shipped row: {"id": "train-21", "text": "Two dogs on our lane bark at the postman, and both are terriers, so there
you have it: if a terrier moves in next door, say goodbye to quiet.", "label": 1, "kind": "faulty generalization",
"topic": "neighbours"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask

TASK = ClassificationTask(
    name="fallacy",
    question="Is this text an instance of the logical fallacy of faulty generalization?",
    labels=("Yes", "No"),
    positive="Yes",
)
SHIPPED = "fallacy"
HUB = "tasksource/logical-fallacy"
HUB_SPLITS = {"train": "train", "test": "test", "dev": "dev"}
LONGEST = 700


def read_hub_row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Turn a row of the Hugging Face set into ours."""
    label = int("faulty generalization" in row["logical_fallacies"])
    return {"text": row["source_article"][:LONGEST], "label": label, "config": row.get("config")}
