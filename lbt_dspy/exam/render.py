"""Prompts and replies: the one module that touches `adapter.format` and `adapter.parse`.

A prompt is its prefix (instruction, demonstrations), which all questions of an exam share, and its tail (the question).
The prefix is rendered and hashed once per material; a question then costs a text replacement.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args, get_origin

import dspy
from dspy.lm15 import Message, Request, request_from_openai_chat

from lbt_dspy.errors import UserError
from lbt_dspy.lms.config import CONNECTION_SETTINGS
from lbt_dspy.lms.engine import ModelEngine
from lbt_dspy.lms.scorer import Scorer

KEY_BYTES = 16
CACHED_REPLIES = 4096


class UnreadableError(ValueError):
    """A reply from which the output fields cannot be read: mark 0, with this reason."""


def current_adapter(adapter: dspy.Adapter | None = None) -> dspy.Adapter:
    """Return the given adapter, else the configured one, else `ChatAdapter`; never one that asks a second time."""
    chosen = adapter if adapter is not None else dspy.settings.adapter
    if chosen is None or type(chosen) is dspy.ChatAdapter:
        return dspy.ChatAdapter(use_json_adapter_fallback=False)
    return chosen


def open_settings(lm: dspy.LM, engine: ModelEngine, config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the settings of `config` that the LM itself leaves open and its engine takes, and the request's seed."""
    settings = {k: v for k, v in config.items() if lm.kwargs.get(k) is None}
    if not engine.takes_temperature:
        settings.pop("temperature", None)
    if engine.takes_seed:
        settings["seed"] = seed
    return settings


def sampling_of(lm: dspy.LM, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sampling settings of a call: the LM's own, overlaid by `config`; nothing about its connection."""
    merged = {**lm.kwargs, **config}
    return {k: v for k, v in merged.items() if v is not None and k not in CONNECTION_SETTINGS}


class LazyCall(NamedTuple):
    """One call of an exam, of which there are as many as sittings; its request is built only when it must be sent."""

    key: bytes
    engine: ModelEngine
    base: Request
    tail: str | None
    """Text of the last message; `None`: `base` is the whole request."""
    batch: bytes | None = None
    """Calls with the same batch are choices of one request."""

    @property
    def request(self) -> Request:
        """What is sent."""
        if self.tail is None:
            return self.base
        return replace(self.base, messages=(*self.base.messages[:-1], Message.user(self.tail)))


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
    digest = hashlib.blake2b(asked.key + text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES, person=b"score")
    return ScoreCall(key=digest.digest(), engine=Scorer(asked.engine), asked=asked, text=text)


class Renderer:
    """Renders one signature through one adapter, and reads replies back.

    Args:
        signature: What is asked.
        adapter: Any DSPy adapter.
    """

    def __init__(self, signature: type[dspy.Signature], adapter: dspy.Adapter) -> None:
        self.signature = signature
        self.adapter = adapter
        self._choices = {
            name: spellings(get_args(field.annotation))
            for name, field in signature.output_fields.items()
            if get_origin(field.annotation) is Literal
        }
        self._relaxed = signature
        for name in self._choices:
            self._relaxed = self._relaxed.with_updated_fields(name, type_=str)
        self._markers = {name: f"\0{name}\0" for name in signature.input_fields}
        self._by_text = all(field.annotation is str for field in signature.input_fields.values())
        self._checked = False
        self._replies: dict[str, dict[str, Any] | UnreadableError] = {}

    def prefix(
        self, demos: Sequence[Any], lm: dspy.LM, engine: ModelEngine, config: Mapping[str, Any], sitting: int
    ) -> Prefix:
        """Render what all questions of one sitting number share."""
        return Prefix(self, demos, engine, {"model": engine.name, **sampling_of(lm, config)}, sitting)

    def parse(self, text: str) -> dict[str, Any]:
        """Return the output fields of a reply, `Literal` ones as the option they mean.

        Raises:
            UnreadableError: The reply is empty, has not all fields, or answers none of the options.
        """
        found = self._replies.get(text)
        if found is None:
            try:
                found = self._parse(text)
            except UnreadableError as error:
                found = error
            if len(self._replies) >= CACHED_REPLIES:
                self._replies.clear()
            self._replies[text] = found
        if isinstance(found, UnreadableError):
            raise found
        return found

    def _parse(self, text: str) -> dict[str, Any]:
        if not text.strip():
            raise UnreadableError("empty answer")
        try:
            fields = dict(self.adapter.parse(self._relaxed, text))
        except Exception as error:  # an adapter may raise anything on a model's text
            raise UnreadableError(f"unreadable answer ({type(error).__name__})") from None
        for name, options in self._choices.items():
            written = str(fields[name]).strip()
            meant = next((options[s] for s in (written, _plain(written)) if s in options), None)
            if meant is None:
                raise UnreadableError(f"{name} is none of the options: {str(fields[name])[:60]!r}")
            fields[name] = meant
        return fields

    def messages(self, demos: Sequence[Any], inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Render through the adapter."""
        return list(self.adapter.format(self.signature, list(demos), dict(inputs)))

    def answer_text(self, example: dspy.Example) -> str:
        """Return what the assistant says where an example is a demonstration, with the output fields that it has.

        Raises:
            UserError: It lacks the last output field, or the adapter gives the assistant no text.
        """
        signature, outputs = self.signature, list(self.signature.output_fields)
        if example.get(outputs[-1]) is None:
            raise UserError(f"an exam problem has no answer {outputs[-1]!r}; give it this field")
        for name in outputs:
            if example.get(name) is None:
                signature = signature.delete(name)
        known = {name: example[name] for name in signature.fields}
        messages = self.adapter.format(signature, [known], {name: known[name] for name in self._markers})
        said = [m["content"] for m in messages[-2:-1] if m["role"] == "assistant" and isinstance(m["content"], str)]
        if not said:
            raise UserError(
                f"{type(self.adapter).__name__} must write demonstrations as a user's and an assistant's text for mark "
                "'evidence' but does not; take another adapter"
            )
        return said[0].strip()

    def template(self, demos: Sequence[Any], inputs: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str] | None:
        """Return the prefix messages and the tail with a marker per input; `None` where the adapter is more subtle."""
        if not self._by_text:
            return None
        messages = self.messages(demos, self._markers)
        tail = messages[-1]["content"]
        if not isinstance(tail, str) or any(tail.count(marker) != 1 for marker in self._markers.values()):
            self._by_text = False
            return None
        if not self._checked:
            full = self.messages(demos, inputs)
            if full[:-1] != messages[:-1] or full[-1]["content"] != self.fill(tail, inputs):
                self._by_text = False
                return None
            self._checked = True
        return messages, tail

    def fill(self, tail: str, inputs: Mapping[str, Any]) -> str:
        """Put the inputs into a tail."""
        pieces = tail.split("\0")
        return "".join(str(inputs[piece]) if i % 2 else piece for i, piece in enumerate(pieces))


class Prefix:
    """The shared part of the prompts of one exam, rendered and hashed."""

    def __init__(
        self, renderer: Renderer, demos: Sequence[Any], engine: ModelEngine, settings: dict[str, Any], sitting: int
    ) -> None:
        self._renderer = renderer
        self._demos = demos
        self._engine = engine
        self._settings = settings
        self._sitting = sitting
        self._template: tuple[Request, str] | None = None
        self._digest: Any = None

    def call(self, inputs: Mapping[str, Any]) -> LazyCall:
        """Return the call that asks one question."""
        if self._template is None:
            found = self._renderer.template(self._demos, inputs)
            if found is None:
                request = request_from_openai_chat(
                    {"messages": self._renderer.messages(self._demos, inputs), **self._settings}
                )
                return call_of(request, self._engine, self._sitting)
            messages, tail = found
            base = request_from_openai_chat({"messages": messages, **self._settings})
            self._template = (base, tail)
            self._digest = prefix_digest(base, self._engine, self._sitting)
        base, tail = self._template
        text = self._renderer.fill(tail, inputs)
        digest = self._digest.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return LazyCall(key=digest.digest(), engine=self._engine, base=base, tail=text)


def call_of(request: Request, engine: ModelEngine, sitting: int) -> LazyCall:
    """Return the call of a whole request, under the same key as if it had been rendered as prefix and tail."""
    digest = prefix_digest(request, engine, sitting)
    digest.update(_message_text(request.messages[-1]).encode("utf-8", "surrogatepass"))
    return LazyCall(key=digest.digest(), engine=engine, base=request, tail=None)


def prefix_digest(request: Request, engine: ModelEngine, sitting: int) -> Any:
    """Hash who is asked, how, and all of the prompt but its last message."""
    head = json.dumps(
        [engine.identity, sitting, repr(request.config), repr(request.tools), repr(request.system)]
        + [[message.role, _message_text(message)] for message in request.messages[:-1]]
        + [request.messages[-1].role]
    )
    return hashlib.blake2b(head.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES)


def _message_text(message: Message) -> str:
    return message.text if message.text is not None else repr(message.parts)


def spellings(options: Sequence[Any]) -> dict[str, Any]:
    """Map texts to the options they mean: an option's own text, and its plain one where no other option has that."""
    counts = Counter(map(_plain, options))
    plain = {_plain(option): option for option in options if _plain(option) and counts[_plain(option)] == 1}
    return plain | {str(option).strip(): option for option in options}


def _plain(label: object) -> str:
    """Return a label without case, quotes, and punctuation around it."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", str(label)).casefold()
