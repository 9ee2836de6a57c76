"""Tiny language models of a synthetic world (`benchmarks/tasks/classroom`), trained from scratch, and their layout.

The teacher half knows what the skills of this world are; the students cannot know it but from the demonstrations in
their prompt. They are real transformers that read and write a vocabulary of their own:

    Q ba x3 y5 z2 R x+y:3+5=8;*z:8*2=6 A 6<end>

In chat form `Q ba x3 y5 z2` is a user's message and `R x+y:3+5=8;*z:8*2=6 A 6` the assistant's.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dspy
import numpy as np
from dspy.lm15 import Config as Settings
from dspy.lm15 import Message, Request
from dspy.utils.exceptions import AdapterParseError
from tokenizers import Tokenizer

from lbt_dspy.errors import UserError
from lbt_dspy.lms.embedded.generation import ROWS, Completion, Prompt, Task, Tokens, generate, score
from lbt_dspy.lms.embedded.together import Together
from lbt_dspy.lms.embedded.transformer import Floats, Transformer
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import Fault, NoReply
from lbt_dspy.lms.logprobs import encode
from lbt_dspy.threads import one_thread

FOLDER = Path(__file__).parent / "classroom"
ANSWER = re.compile(r"(?:R(?P<reasoning>[^A]*))?A(?P<answer>.+)")
TAKEN = frozenset({"max_tokens", "temperature", "top_k", "seed", "logprobs"})
"""The settings of a request that these models understand."""
OTHER = tuple(field.name for field in dataclasses.fields(Settings) if field.name not in TAKEN)
CACHED_TEXTS = 2**14
PARTS = ("config.json", "tokenizer.json", "model.safetensors")


class Given(NamedTuple):
    """A prompt, and an answer that somebody else gave."""

    prompt: Prompt
    text: Tokens

    @property
    def length(self) -> int:
        """The number of tokens of both."""
        return len(self.prompt.prefix) + len(self.prompt.tail) + len(self.text)


class ClassroomAdapter(dspy.Adapter):  # type: ignore[misc]
    """Writes and reads the classroom's layout.

    The signature has one input field, the question such as `ba x3 y5 z2`. Its last output field is the answer; one
    before it is the reasoning. There is no instruction, since the models know no words.
    """

    def format(
        self, signature: type[dspy.Signature], demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return a user's and an assistant's message per demonstration, then the question.

        Raises:
            UserError: The signature has other fields.
        """
        question, reasoning, answer = _fields(signature)
        messages = []
        for demo in demos:
            thought = demo.get(reasoning) if reasoning else None
            written = f"A {demo[answer]}" if thought is None else f"R {thought} A {demo[answer]}"
            messages += [_message("user", f"Q {demo[question]}"), _message("assistant", written)]
        return [*messages, _message("user", f"Q {inputs[question]}")]

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """Return reasoning (empty where there is none) and answer, without spaces.

        Raises:
            AdapterParseError: The text is not `R ... A ...` or `A ...`.
        """
        _, reasoning, answer = _fields(signature)
        read = ANSWER.fullmatch("".join(completion.split()))
        if read is None:
            raise AdapterParseError("ClassroomAdapter", signature, completion)
        return ({reasoning: read["reasoning"] or ""} if reasoning else {}) | {answer: read["answer"]}


class ClassroomEngine(ModelEngine):
    """A transformer of the classroom, read from a checkpoint in the format of Hugging Face. Thread-safe.

    A request's text depends on its prompt, settings and seed (none: 0) alone; temperature 0 is greedy, and the default
    is 1.

    Args:
        name: One of `lbt_dspy.lms.embedded.CLASSROOM`.
        folder: Where the checkpoints are, each in a folder of its own (`teacher`, `student-a`, ...); `None`: in the
            package.
        checkpoint: The folder of another checkpoint of this model, such as a tuned one, to be run in its place.

    Raises:
        UserError: The checkpoint is no model, or of another kind than Llama.
    """

    in_process = True
    gives_logprobs = True
    scores_texts = True

    def __init__(self, name: str, folder: Path | None = None, *, checkpoint: Path | None = None) -> None:
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        place = self.checkpoint or (folder or FOLDER) / name.removeprefix("embedded/classroom-")
        missing = next((part for part in PARTS if not (place / part).is_file()), None)
        if missing is not None:
            raise UserError(f"{place} is no model: it has no {missing}; name a folder that save_pretrained has written")
        digest = hashlib.blake2b((place / "model.safetensors").read_bytes(), digest_size=8).hexdigest()
        super().__init__(name, f"{name}|{digest}")
        self.place = place
        self._model = Transformer.load(place)
        self._tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
        self._unknown = self._tokenizer.token_to_id(self._tokenizer.model.unk_token)
        self._tokens = functools.lru_cache(maxsize=CACHED_TEXTS)(self._encode)
        self._together = Together(self._generate)
        self._end = (min(self._model.config.ends),)

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Answer one request.

        Raises:
            NoReply: The prompt is longer than the model reads.
            UserError: The prompt is not in the classroom's layout, or a setting is unknown to these models.
        """
        (outcome,) = self.answer_many([request])
        if isinstance(outcome, NoReply):
            raise outcome
        return outcome

    def answer_many(self, requests: Sequence[Request]) -> Iterator[Answer | NoReply]:
        """Answer requests in batches; each answer is the one that `answer` gives."""
        for start in range(0, len(requests), ROWS):
            batch = requests[start : start + ROWS]
            tasks = [self._task(request) for request in batch]
            written = iter(self._together([task for task in tasks if isinstance(task, Task)]))
            for request, task in zip(batch, tasks, strict=True):
                yield task if isinstance(task, NoReply) else self._answer(request, task, next(written))

    def text_logprobs(self, requests: Sequence[Request], texts: Sequence[str]) -> list[Floats]:
        """Return how likely given answers are: the log-probability of each token of each text after its request.

        Args:
            requests: What is asked; of their settings none matters.
            texts: The answers, e.g. `R x+y:3+5=8 A 8`, one per request; their end token is not counted.

        Raises:
            UserError: Something is not in the classroom's layout, or longer than the model reads.
        """
        given = [self._given(request.messages, text) for request, text in zip(requests, texts, strict=True)]
        lost = next((one for one in given if isinstance(one, NoReply)), None)
        if lost is not None:
            raise UserError(str(lost))
        return self._scores([one for one in given if isinstance(one, Given)])

    def score(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Return how likely the answer that ends the request is; its end token is not counted.

        Raises:
            NoReply: Prompt and answer are longer than the model reads.
            UserError: The prompt is not in the classroom's layout.
        """
        (outcome,) = self.score_many([request])
        if isinstance(outcome, NoReply):
            raise outcome
        return outcome

    def score_many(self, requests: Sequence[Request]) -> Iterator[Answer | NoReply]:
        """Score answers in batches."""
        for start in range(0, len(requests), ROWS):
            batch = requests[start : start + ROWS]
            given = [self._given(request.messages[:-1], request.messages[-1].text or "") for request in batch]
            scores = iter(self._scores([one for one in given if isinstance(one, Given)]))
            for one in given:
                yield one if isinstance(one, NoReply) else self._scored(one, next(scores))

    def _given(self, messages: Sequence[Message], text: str) -> Given | NoReply:
        one = Given(self._prompt(messages), self._tokens(text))
        longest = self._model.config.positions
        if one.length > longest:
            return NoReply(f"{self.name} reads at most {longest} tokens but one text has {one.length}")
        return one

    def _scores(self, given: Sequence[Given]) -> list[Floats]:
        found: list[Floats] = []
        with one_thread():
            for start in range(0, len(given), ROWS):
                batch = given[start : start + ROWS]
                found += score(self._model, [one.prompt for one in batch], [one.text for one in batch])
        return found

    def _scored(self, one: Given, logprobs: Floats) -> Answer:
        names = [self._tokenizer.id_to_token(token) or "" for token in one.text]
        return Answer(
            "",
            input_tokens=one.length,
            logprobs=encode((name, float(log), {}) for name, log in zip(names, logprobs, strict=True)),
        )

    def _generate(self, tasks: Sequence[Task]) -> list[Completion]:
        with one_thread():
            batches = [generate(self._model, tasks[start : start + ROWS]) for start in range(0, len(tasks), ROWS)]
        return [completion for batch in batches for completion in batch]

    def _task(self, request: Request) -> Task | NoReply:
        settings = request.config
        _check(self.name, settings)
        prompt = self._prompt(request.messages)
        room = self._model.config.positions - len(prompt.prefix) - len(prompt.tail)
        if room < 1:
            return NoReply(f"the prompt is too long for {self.name}, which reads {self._model.config.positions} tokens")
        temperature = 1.0 if settings.temperature is None else settings.temperature
        return Task(
            prompt=prompt,
            temperature=temperature,
            top_k=settings.top_k,
            seed=(settings.seed or 0) if temperature else 0,
            most=min(room, settings.max_tokens or room),
            logprobs=settings.logprobs is not None,
        )

    def _prompt(self, messages: Sequence[Message]) -> Prompt:
        prefix: Tokens = ()
        for message in messages[:-1]:
            prefix += self._tokens(message.text or "")
            prefix += self._end if message.role == "assistant" else ()
        question = messages[-1].text or ""
        if self._unknown in self._tokens(question):  # in a lesson: another model's words, read as nothing
            raise UserError(
                f"{self.name} knows problems of the classroom alone, not {question[:60]!r}; ask it through "
                "ClassroomAdapter"
            )
        return Prompt(prefix, self._tokens(question))

    def _encode(self, text: str) -> Tokens:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _answer(self, request: Request, task: Task, written: Completion) -> Answer:
        return Answer(
            self._tokenizer.decode(written.tokens),
            "stop" if written.ended else "length",
            len(task.prompt.prefix) + len(task.prompt.tail),
            len(written.tokens),
            logprobs=None if written.logprobs is None else self._listed(written.tokens, written.logprobs, request),
        )

    def _listed(self, tokens: Sequence[int], logprobs: Floats, request: Request) -> str:
        """Return the log-probabilities of tokens, and of as many of the likeliest as the request asks for."""
        likeliest = np.argsort(-logprobs, axis=1, kind="stable")[:, : request.config.logprobs]
        names = [self._tokenizer.id_to_token(number) or "" for number in range(self._model.vocabulary)]
        return encode(
            (names[token], float(logs[token]), {names[other]: float(logs[other]) for other in top})
            for token, logs, top in zip(tokens, logprobs, likeliest, strict=True)
        )

    def dump_state(self) -> dict[str, Any]:
        """Return what DSPy saves."""
        return {"name": self.name, "checkpoint": None if self.checkpoint is None else str(self.checkpoint)}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> ClassroomEngine:
        """Rebuild from `dump_state`."""
        checkpoint = state.get("checkpoint")
        return cls(state["name"], checkpoint=None if checkpoint is None else Path(checkpoint))


def _fields(signature: type[dspy.Signature]) -> tuple[str, str | None, str]:
    inputs, outputs = list(signature.input_fields), list(signature.output_fields)
    if len(inputs) != 1 or not 1 <= len(outputs) <= 2:
        raise UserError(
            "the classroom's layout has one input field, and an answer with or without a reasoning before it, but the "
            f"signature has {', '.join(inputs)} -> {', '.join(outputs)}"
        )
    return inputs[0], outputs[0] if len(outputs) == 2 else None, outputs[-1]


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _check(name: str, settings: Settings) -> None:
    unknown = [field for field in OTHER if getattr(settings, field) not in (None, ())]
    if unknown:
        raise UserError(f"{name} takes {', '.join(sorted(TAKEN))}, not {', '.join(unknown)}; leave it out")
