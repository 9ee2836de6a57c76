"""Outputs that models gave before, replayed: a teacher with real text, no key and no network.

A recording is a folder of JSONL files, or one such file. A row has an `output`, and the question that it answers
(`question`, `problem` or `puzzle`) or an `id` (or `unique_id`) under which a further file has that question.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy
from dspy.lm15 import Request

from lbt_dspy.errors import UserError
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of
from lbt_dspy.lms.faults import Fault, NoReply
from lbt_dspy.lms.prompt import read_question, write_answer
from lbt_dspy.lms.replies.thoughts import answer_in

PREFIX = "recorded/"
QUESTION = ("question", "problem", "puzzle")
ID = ("unique_id", "id")
ROLLOUT_BITS = 0xFFFF
NAMED = 60
"""Characters of a question that a message shows."""

Row = dict[str, Any]
Questions = dict[str, dict[str | None, str]]
"""The questions of an id, by their reference answer: several where variants share an id."""


def recorded_lm(name: str, **sampling: Any) -> dspy.LM:
    """Return the recording `recorded/DIR` or `recorded/DIR@FILE` as a `dspy.LM`.

    Raises:
        UserError: It cannot be used; see `RecordedEngine`.
    """
    return lm_of(RecordedEngine(name), **sampling)


class RecordedEngine(ModelEngine):
    """Answers a question with the outputs recorded for it, by rollout number.

    The question is the longest known one that stands in the request's last message, white space aside. Rollout i gets
    its output number i, in the order of the files' names and of their lines; i is `seed & 0xFFFF`, since
    `lbt_dspy.sampling.rollout_seed` numbers rollouts in the low 16 bits of a request's seed (no seed: 0). Beyond the
    last output there is no reply: that sample is lost, which is not an empty answer. Every output field that the prompt
    asks for holds the whole recorded text but its thoughts, so graders find the final answer in it; the fields must be
    text.

    Args:
        name: `recorded/DIR`, where DIR is a folder of JSONL files or one such file; or `recorded/DIR@FILE`, where FILE
            (JSONL) has the questions, joined by `unique_id` or `id`. When the rows name their `gold` answer and FILE
            has an `answer`, both must agree: variants of a problem share its unique_id. Rows without a question in
            FILE are left out.

    Raises:
        UserError: A file or folder is missing or damaged, or there is no row with an output and a question.
    """

    in_process = True

    def __init__(self, name: str) -> None:
        place, file = _parts(name.removeprefix(PREFIX))
        files = _files(place)
        self._outputs = _outputs(name, files, None if file is None else _questions(file))
        self._longest_first = sorted(self._outputs, key=len, reverse=True)
        self._question_in = functools.lru_cache(maxsize=8192)(self._find)
        super().__init__(name, f"{name}|{_digest([*files, *([file] if file else [])])}")

    @property
    def questions(self) -> Mapping[str, Sequence[str]]:
        """The outputs of each question, whose white space is single spaces."""
        return self._outputs

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Replay the output of the request's question and rollout.

        Raises:
            NoReply: The question has fewer outputs.
            UserError: The question is not recorded, or the prompt is neither of `ChatAdapter` nor of `JSONAdapter`.
        """
        message = request.messages[-1].text or ""
        inputs, names, as_json = read_question(message)
        outputs = self._outputs[self._question_in(message, "\n".join(inputs.values()))]
        rollout = (request.config.seed or 0) & ROLLOUT_BITS
        if rollout >= len(outputs):
            raise NoReply(f"{self.name} has {len(outputs)} outputs for this question, none for rollout {rollout}")
        output = outputs[rollout]
        answer = answer_in(output)
        if output.strip() and not answer.strip():  # it never left its thoughts
            return Answer(output)
        return Answer(write_answer(dict.fromkeys(names, answer), as_json))

    def _find(self, message: str, asked: str) -> str:
        text = _plain(message)
        for question in self._longest_first:
            if question in text and re.search(rf"(?<!\w){re.escape(question)}(?!\w)", text):
                return question
        raise UserError(
            f"{self.name} holds no output for the question {_plain(asked)[:NAMED]!r}...; ask only what was recorded "
            f"({len(self._outputs)} questions)"
        )

    def dump_state(self) -> dict[str, Any]:
        """Return what DSPy saves: the name, not the outputs."""
        return {"name": self.name}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> RecordedEngine:
        """Rebuild from `dump_state`."""
        return cls(state["name"])


def _parts(rest: str) -> tuple[Path, Path | None]:
    """Split `DIR@FILE`; a path that exists is a DIR whatever its name."""
    place, at, file = rest.rpartition("@")
    return (Path(place), Path(file)) if at and not Path(rest).exists() else (Path(rest), None)


def _files(place: Path) -> list[Path]:
    if not place.exists():
        raise UserError(f"{PREFIX}{place}: there is no folder {place}; name one with JSONL files of recorded outputs")
    files = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
    if not files:
        raise UserError(f"{PREFIX}{place}: the folder has no JSONL file; name one with recorded outputs")
    return files


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Give the rows of a JSONL file, each with its place."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); it must be UTF-8 JSON lines") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise UserError(f"line {number} of {path.name} is no JSON object; each line must be one")
        yield f"line {number} of {path.name}", row


def _questions(file: Path) -> Questions:
    found: Questions = {}
    for place, row in _rows(file):
        key, question = _text(row, ID), _text(row, QUESTION)
        if key is None or question is None:
            raise UserError(f"{place} has no {' or '.join(ID if key is None else QUESTION)}; the outputs need both")
        found.setdefault(key, {}).setdefault(_text(row, ("answer",)), question)
    return found


def _outputs(name: str, files: Sequence[Path], questions: Questions | None) -> dict[str, list[str]]:
    outputs: dict[str, list[str]] = {}
    rows = 0
    for path in files:
        for place, row in _rows(path):
            rows += 1
            if not isinstance(row.get("output"), str):
                raise UserError(f"{place} has no text in 'output'; a row is one recorded output")
            question = _text(row, QUESTION) if questions is None else _joined(row, questions)
            if question is not None:
                outputs.setdefault(question, []).append(row["output"])
            elif questions is None:
                raise UserError(
                    f"{place} has no {', '.join(QUESTION)}; name a JSONL file that has the question of each id: "
                    f"{name}@FILE"
                )
    if not outputs:
        lacking = f"none of its {rows} rows has a question in the file after @" if rows else "it has no rows"
        raise UserError(f"{name} holds no recorded output: {lacking}")
    return outputs


def _joined(row: Row, questions: Questions) -> str | None:
    """Return the question of a row's id and, where both sides name one, reference answer."""
    key, gold = _text(row, ID), _text(row, ("gold",))
    if key is None:
        return _text(row, QUESTION)
    variants = questions.get(key, {})
    return next(iter(variants.values()), None) if gold is None or None in variants else variants.get(gold)


def _text(row: Row, names: Sequence[str]) -> str | None:
    """Return the first of the named fields that holds text or a number, its white space as single spaces."""
    values = (row.get(name) for name in names)
    return next((_plain(str(v)) for v in values if isinstance(v, str | int | float) and str(v).strip()), None)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        digest.update(hashlib.blake2b(path.read_bytes()).digest())
    return digest.hexdigest()
