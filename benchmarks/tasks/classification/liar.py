"""Is a political statement a lie? A task of M3, arXiv 2406.14629.

The binary cut is that of Pryzant et al., arXiv 2305.03495. The data (Wang, "Liar, Liar Pants on Fire", ACL 2017, arXiv
1705.00648) is for research only and not shipped: name a folder of JSONL files with `--data DIR`, or `--data hf`.

A row of such a folder has a `text` (five lines: Statement, Job title, State, Party, Context) and a `label`, e.g.
{"label": 0, "text": "Statement: Building a wall on the U.S.-Mexico border will take literally years. ..."}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask

TASK = ClassificationTask(
    name="liar",
    question="Determine whether the Statement is a lie (Yes) or not (No) based on the Context and other information.",
    labels=("Yes", "No"),
    positive="Yes",
)
SHIPPED = None
HUB = "liar"
HUB_SPLITS = {"train": "train", "test": "test"}
FALSE, TRUE = 0, 3


def read_hub_row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Turn a row of the Hugging Face set into ours; only clearly false and clearly true statements count."""
    if row["label"] not in (FALSE, TRUE):
        return None
    text = (
        f"Statement: {row['statement']}\nJob title: {row['job_title']}\nState: {row['state_info']}\n"
        f"Party: {row['party_affiliation']}\nContext: {row['context']}"
    )
    return {"text": text, "label": int(row["label"] == FALSE)}
