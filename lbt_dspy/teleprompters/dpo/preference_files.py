"""The files of preference pairs: rows for TRL and OpenAI as JSONL, and what makes their folder a data set."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from lbt_dspy.errors import UserError

if TYPE_CHECKING:
    import datasets

T = TypeVar("T")
PAIRS = "pairs.jsonl"
LESSONS = "lessons.jsonl"
MESSAGES = ("prompt", "chosen", "rejected")
MESSAGE = ("role", "content")
OF_BOTH = {"lbt_score": "float64", "correct": "float64", "answer": "string", "rollout": "int64"}
"""What is told of chosen and rejected alike."""
VALUES = {
    "gap": "float64",
    **{f"{name}_{value}": kind for value, kind in OF_BOTH.items() for name in ("chosen", "rejected")},
    "problem": "string",
}
"""Column types, which a column without a single value does not show."""
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    """Return a text with U+FFFD for lone surrogates, which no UTF-8 file, Arrow table or tokenizer takes."""
    return LONE_SURROGATE.sub("\ufffd", text)


def dataset_of(rows: Iterable[Mapping[str, Any]]) -> datasets.Dataset:
    """Return rows of pairs as a data set; its column types do not depend on the rows."""
    import datasets

    texts = {name: datasets.Value("string") for name in MESSAGE}
    features = {name: datasets.List(texts) for name in MESSAGES}
    features |= {name: datasets.Value(kind) for name, kind in VALUES.items()}
    return datasets.Dataset.from_list(list(rows), features=datasets.Features(features))


def folder_card() -> str:
    """Return what lets `datasets.load_dataset(folder)` find the pairs among the files, and know their column types."""
    features = [{"name": name, "list": [{"name": n, "dtype": "string"} for n in MESSAGE]} for name in MESSAGES]
    typed = [{"name": name, "dtype": kind} for name, kind in VALUES.items()]
    card = {
        "configs": [{"config_name": "default", "data_files": PAIRS}],
        "dataset_info": {"features": [*features, *typed]},
    }
    return yaml.safe_dump(card, sort_keys=False)


def openai_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of TRL's in the format of OpenAI's preference fine-tuning."""
    return {
        "input": {"messages": row["prompt"], "tools": [], "parallel_tool_calls": True},
        "preferred_output": row["chosen"],
        "non_preferred_output": row["rejected"],
    }


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a line of ASCII for each row: some readers of JSONL take U+2028 in a text for the end of its line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_records(path: Path, record: Callable[..., T]) -> list[T]:
    """Return a record for each line of a file.

    Raises:
        UserError: There are none, or they are damaged.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            records = [record(**json.loads(line)) for line in lines]
        if not records:
            raise ValueError("it is empty")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}); make it anew with PreferenceData.save") from None
    return records


def write_whole(path: Path, text: str) -> None:
    """Write a file as a whole or not at all.

    Raises:
        UserError: It cannot be written; what stood there before is kept.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        why = error.strerror or error
        raise UserError(f"{path} cannot be written ({why}); name a folder of yours with room in it") from None
