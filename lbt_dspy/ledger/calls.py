"""The calls of exams and their keys.

A prompt is its prefix (instruction, demonstrations), which all questions of an exam share, and its tail (the question).
A prefix is rendered once per material and hashed once per sitting number; a question then costs a text replacement. The
request itself is built only when it must be sent.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import dspy
from dspy.lm15 import Message, Request, request_from_openai_chat

from lbt_dspy.dspy_private import with_last_message
from lbt_dspy.lms.engine import ModelEngine
from lbt_dspy.lms.likelihood_engine import Scorer
from lbt_dspy.lms.settings import split, with_extensions

KEY_BYTES = 16
CACHED_QUESTIONS = 4096


Question = str | Sequence[Mapping[str, Any]]
"""The text of a prompt's last message, or all messages of the prompt, where they are not texts with a shared prefix."""


class SharedPrompt(Protocol):
    """A material as the prompts of its exam begin with it."""

    head: str
    """What is hashed of all before the question; see `shared_head`."""

    def question(self, inputs: Mapping[str, Any]) -> Question:
        """Render a question."""

    def base(self, terms: Terms) -> Request:
        """Return the request of a sitting, with another question."""


def open_settings(lm: dspy.LM, engine: ModelEngine, config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the settings of `config` that the LM itself leaves open and its engine takes, and the request's seed."""
    settings = {k: v for k, v in config.items() if lm.kwargs.get(k) is None}
    if not engine.takes_temperature:
        settings.pop("temperature", None)
    if engine.takes_seed:
        settings["seed"] = seed
    return settings


class Terms:
    """Which model is asked, with which sampling settings, in which sitting: what all exams of a sitting number share.

    Args:
        engine: Who is asked.
        settings: Of the request; all but its messages.
        sitting: The sitting's number.
    """

    def __init__(self, engine: ModelEngine, settings: Mapping[str, Any], sitting: int) -> None:
        self.engine = engine
        self._settings, self._others = split({"model": engine.name, **settings})
        self.empty = self.request([{"role": "user", "content": "-"}])
        """A request with another prompt."""
        self.head = _head(engine, sitting, self.empty)

    def request(self, messages: Sequence[Mapping[str, Any]]) -> Request:
        """Return the request with this prompt."""
        return with_extensions(request_from_openai_chat({"messages": list(messages), **self._settings}), self._others)

    @property
    def greedy(self) -> bool:
        """Whether nothing is sampled, so that another sitting says the same."""
        return bool(self.empty.config.temperature == 0)


class Prefix:
    """The shared part of the prompts of one exam and sitting number.

    Args:
        rendering: The material as the prompts begin with it.
        terms: The model, the sampling settings and the number of the sitting.
    """

    def __init__(self, rendering: SharedPrompt, terms: Terms) -> None:
        self._rendering = rendering
        self._terms = terms
        self._digest: Any = None

    def call(self, inputs: Mapping[str, Any]) -> LazyCall:
        """Return the call that asks one question."""
        return self.asking(self._rendering.question(inputs))

    def asking(self, question: Question) -> LazyCall:
        """Return the call that asks a rendered question."""
        terms = self._terms
        if not isinstance(question, str):
            request = terms.request(question)
            return LazyCall(_digest(terms.head, request, _text(request.messages[-1])), terms.engine, request, None)
        if self._digest is None:
            self._digest = hashlib.blake2b((terms.head + self._rendering.head).encode(*UTF8), digest_size=KEY_BYTES)
        digest = self._digest.copy()
        digest.update(question.encode(*UTF8))
        return LazyCall(digest.digest(), terms.engine, self, question)

    @functools.cached_property
    def base(self) -> Request:
        """The request with another question."""
        return self._rendering.base(self._terms)


class LazyCall(NamedTuple):
    """One call of an exam, of which there are as many as sittings; its request is built only when it must be sent."""

    key: bytes
    engine: ModelEngine
    source: Prefix | Request
    tail: str | None
    """Text of the last message; `None`: `source` is the whole request."""
    batch: bytes | None = None
    """Calls with the same batch are choices of one request."""

    @property
    def request(self) -> Request:
        """What is sent."""
        if self.tail is None:
            return self.source
        return with_last_message(self.source.base, _user(self.tail))


@dataclass(frozen=True, kw_only=True)
class ScoreCall:
    """The question how likely a given answer to a call is."""

    key: bytes
    engine: Scorer
    asked: LazyCall
    text: str
    batch: None = None

    @property
    def request(self) -> Request:
        """What is sent: the call, and the answer as an assistant's message."""
        asked = self.asked.request
        return replace(asked, messages=(*asked.messages, Message.assistant(self.text)))


def as_choices(calls: Sequence[LazyCall]) -> list[LazyCall]:
    """Return the sittings of one question as choices of one request, under keys of their own."""
    batch = hashlib.blake2b(b"".join(call.key for call in calls), digest_size=KEY_BYTES, person=b"choices").digest()
    keys = (hashlib.blake2b(batch, digest_size=KEY_BYTES, salt=i.to_bytes(8, "big")) for i in range(len(calls)))
    return [call._replace(key=key.digest(), batch=batch) for call, key in zip(calls, keys, strict=True)]


def score_call(asked: LazyCall, text: str) -> ScoreCall:
    """Return the call that scores a text as the answer to another call, under a key of its own."""
    digest = hashlib.blake2b(asked.key + text.encode(*UTF8), digest_size=KEY_BYTES, person=b"score")
    return ScoreCall(key=digest.digest(), engine=Scorer(asked.engine), asked=asked, text=text)


def call_of(request: Request, engine: ModelEngine, sitting: int) -> LazyCall:
    """Return the call of a whole request, under the same key as if it had been rendered as prefix and tail."""
    key = _digest(_head(engine, sitting, request), request, _text(request.messages[-1]))
    return LazyCall(key, engine, request, None)


def shared_head(system: object, turns: Sequence[tuple[str, str]], last_role: str) -> str:
    """Return what is hashed of the messages before the last one."""
    return json.dumps([repr(system), *map(list, turns), last_role])[1:]


UTF8 = ("utf-8", "surrogatepass")


@functools.lru_cache(CACHED_QUESTIONS)
def _user(text: str) -> Message:
    """Return a question as a message; the same questions are asked after many materials."""
    return Message.user(text)


def _head(engine: ModelEngine, sitting: int, request: Request) -> str:
    return json.dumps([engine.identity, sitting, repr(request.config), repr(request.tools)])[:-1] + ", "


def _digest(head: str, request: Request, tail: str) -> bytes:
    """Hash who is asked, how, and the whole prompt."""
    *before, last = request.messages
    shared = shared_head(request.system, [(message.role, _text(message)) for message in before], last.role)
    return hashlib.blake2b((head + shared + tail).encode(*UTF8), digest_size=KEY_BYTES).digest()


def _text(message: Message) -> str:
    return message.text if message.text is not None else repr(message.parts)
