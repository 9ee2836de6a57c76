"""The held-out answers of a run as results.json keeps them, so that two runs can be compared example by example."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lbt_dspy.benchmarks.tasks.classification.data import LabelledData
from lbt_dspy.metrics.statistics import LabelledRuns

UNREADABLE, NOT_MEASURED = "-", "."
DIGEST_BYTES = 16


def held_out_record(data: LabelledData, methods: Mapping[str, LabelledRuns]) -> dict[str, Any]:
    """Return labels, a digest of the texts, references, and for each row one line of answers per run.

    A line has one word per example: the number of its label, `-` for an unreadable answer, `.` for one not measured.
    """
    task = data.task
    index = {label: str(i) for i, label in enumerate(task.labels)}
    texts = json.dumps([[example[name] for name in task.inputs] for example in data.test])
    return {
        "labels": list(task.labels),
        "texts": hashlib.blake2b(texts.encode(), digest_size=DIGEST_BYTES).hexdigest(),
        "references": " ".join(index[str(example[task.output])] for example in data.test),
        "answers": {name: lines_of(runs, task.labels) for name, runs in methods.items()},
    }


def lines_of(runs: LabelledRuns, labels: Sequence[str]) -> list[str]:
    """Return one line of answers per run."""
    index = {label: str(i) for i, label in enumerate(labels)}
    return [_line(*run, index) for run in zip(runs.answers, runs.measured, strict=True)]


def references_of(record: Mapping[str, Any]) -> list[str]:
    """Return the reference labels of a record."""
    return [record["labels"][int(word)] for word in record["references"].split()]


def runs_of(record: Mapping[str, Any], row: str) -> LabelledRuns:
    """Return the answers of one row of a record."""
    return runs_of_lines(record["answers"][row], record["labels"])


def answers_line(answers: Sequence[str | None], labels: Sequence[str]) -> str:
    """Return the answers of a run, all of which were measured, as one line."""
    return _line(answers, [True] * len(answers), {label: str(i) for i, label in enumerate(labels)})


def runs_of_lines(lines: Sequence[str], labels: Sequence[str]) -> LabelledRuns:
    """Return the runs of lines of answers."""
    words = [line.split() for line in lines]
    return LabelledRuns(
        answers=[[labels[int(word)] if word.isdecimal() else None for word in run] for run in words],
        measured=[[word != NOT_MEASURED for word in run] for run in words],
    )


def _line(answers: Sequence[str | None], measured: Sequence[bool], index: Mapping[str, str]) -> str:
    words = [UNREADABLE if answer is None else index[answer] for answer in answers]
    return " ".join(word if known else NOT_MEASURED for word, known in zip(words, measured, strict=True))
