"""Prompts and replies: the one module that touches `adapter.format` and `adapter.parse`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args, get_origin

import dspy
from dspy.lm15 import Request, request_from_openai_chat

from lbt_dspy.dspy_private import CUSTOM_TYPE
from lbt_dspy.errors import UserError
from lbt_dspy.ledger.calls import Prefix, Question, Terms, shared_head
from lbt_dspy.lms.engine import ModelEngine
from lbt_dspy.lms.faults import EMPTY
from lbt_dspy.lms.settings import sampling_of
from lbt_dspy.warned import warnings_shown

CACHED_REPLIES = 4096


class UnreadableError(ValueError):
    """A reply from which the output fields cannot be read: mark 0, with this reason."""


def current_adapter(adapter: dspy.Adapter | None = None) -> dspy.Adapter:
    """Return the given adapter, else the configured one, else `ChatAdapter`; never one that asks a second time.

    Raises:
        UserError: It is none.
    """
    chosen = adapter if adapter is not None else dspy.settings.adapter
    if chosen is not None and not isinstance(chosen, dspy.Adapter):
        raise UserError(f"adapter must be a dspy.Adapter but got {chosen!r}; make one, e.g. dspy.ChatAdapter()")
    if chosen is None or type(chosen) is dspy.ChatAdapter:
        return dspy.ChatAdapter(use_json_adapter_fallback=False)
    return chosen


class Template(NamedTuple):
    """A rendered prompt with gaps for the inputs of its question."""

    system: str | None
    turns: tuple[tuple[str, str], ...]
    """Role and text of the messages before the question."""
    role: str
    pieces: tuple[str, ...]
    """The question: texts, and between them the names of inputs."""
    head: str
    """What is hashed of all before the question."""

    def fill(self, inputs: Mapping[str, Any]) -> str:
        """Return the question."""
        return "".join([str(inputs[piece]) if i % 2 else piece for i, piece in enumerate(self.pieces)])

    def with_turns(self, turns: Sequence[tuple[str, str]]) -> Template:
        """Return the template after other messages."""
        return self._replace(turns=tuple(turns), head=shared_head(self.system, turns, self.role))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages, the question with its gaps."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        turns = [{"role": role, "content": text} for role, text in self.turns]
        return [*system, *turns, {"role": self.role, "content": "\0".join(self.pieces)}]


class Rendering:
    """A material as the prompts of its exam begin with it; rendered when it is first asked for.

    Args:
        renderer: Renders it.
        demos: The demonstrations.
    """

    def __init__(self, renderer: Renderer, demos: Sequence[Any]) -> None:
        self.head = ""
        self._renderer = renderer
        self._demos = demos
        self._template: Template | None = None
        self._base: Request | None = None

    def prefix(self, terms: Terms) -> Prefix:
        """Return the prefix of one sitting number."""
        return Prefix(self, terms)

    def question(self, inputs: Mapping[str, Any]) -> Question:
        """Render a question: its text, or the whole prompt where the adapter is more subtle than texts in gaps."""
        if any(CUSTOM_TYPE in str(value) for value in inputs.values()):
            return self._renderer.messages(self._demos, inputs)
        if self._template is None:
            self._template = self._renderer.template(self._demos, inputs)
            self.head = "" if self._template is None else self._template.head
        return self._renderer.messages(self._demos, inputs) if self._template is None else self._template.fill(inputs)

    def base(self, terms: Terms) -> Request:
        """Return the request of a sitting, with gaps in its question."""
        if self._base is None:
            assert self._template is not None  # noqa: S101 - a question came from it
            self._base = request_from_openai_chat({"model": "-", "messages": self._template.messages})
        return replace(terms.empty, system=self._base.system, messages=self._base.messages)


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
        self._gaps = {name: f"\0{name}\0" for name in signature.input_fields}
        self._by_text = all(field.annotation is str for field in signature.input_fields.values())
        self._checked = False
        self._shapes: dict[int, _Shape | None] = {}
        self._replies: dict[str, dict[str, Any] | UnreadableError] = {}

    def prefix(
        self, demos: Sequence[Any], lm: dspy.LM, engine: ModelEngine, config: Mapping[str, Any], sitting: int
    ) -> Prefix:
        """Render what all questions of one sitting number share."""
        return self.rendering(demos).prefix(Terms(engine, sampling_of(lm, config), sitting))

    def rendering(self, demos: Sequence[Any]) -> Rendering:
        """Render what all questions after these demonstrations share."""
        return Rendering(self, demos)

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
            raise UnreadableError(EMPTY)
        try:
            with warnings_shown():
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
        with warnings_shown():
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
        messages = self.adapter.format(signature, [known], {name: known[name] for name in self._gaps})
        said = [m["content"] for m in messages[-2:-1] if m["role"] == "assistant" and isinstance(m["content"], str)]
        if not said:
            raise UserError(
                f"{type(self.adapter).__name__} must write demonstrations as a user's and an assistant's text for mark "
                "'evidence' but does not; take another adapter"
            )
        return said[0].strip()

    def template(self, demos: Sequence[Any], inputs: Mapping[str, Any]) -> Template | None:
        """Return the prompt with gaps for the inputs; `None` where the adapter is more subtle.

        Args:
            demos: The demonstrations.
            inputs: Of a first question, on which the template is checked.
        """
        if not self._by_text:
            return None
        filled = self._filled(demos, inputs)
        if filled is not None:
            return filled
        template = read_template(self.messages(demos, self._gaps), self._gaps)
        if template is not None and not self._checked:
            self._checked = self._is_right(template, demos, inputs)
        self._by_text = template is not None and self._checked
        return template if self._by_text else None

    def _is_right(self, template: Template, demos: Sequence[Any], inputs: Mapping[str, Any]) -> bool:
        *shared, last = self.messages(demos, inputs)
        return bool(template.messages[:-1] == shared and template.fill(inputs) == last["content"])

    def _filled(self, demos: Sequence[Any], inputs: Mapping[str, Any]) -> Template | None:
        """Return the template for complete demonstrations of texts, which `ChatAdapter` writes as they are.

        So of all materials of one size the adapter renders the first one; the texts of others are put into its gaps.
        """
        fields = tuple(self.signature.fields)
        if not (
            type(self.adapter) is dspy.ChatAdapter and all(_is_plain(demo.get(f)) for demo in demos for f in fields)
        ):
            return None
        if len(demos) not in self._shapes:
            shape = self._shape(len(demos), fields)
            right = shape is not None and self._is_right(shape.filled(demos), demos, inputs)
            self._shapes[len(demos)] = shape if right else None
        found = self._shapes[len(demos)]
        return None if found is None else found.filled(demos)

    def _shape(self, size: int, fields: tuple[str, ...]) -> _Shape | None:
        gaps = [dspy.Example(**{f: f"\0{i}.{f}\0" for f in fields}) for i in range(size)]
        template = read_template(self.messages(gaps, self._gaps), self._gaps)
        return None if template is None else _Shape(template, fields, [(r, t.split("\0")) for r, t in template.turns])


class _Shape(NamedTuple):
    """How the prompts of all materials of one size look, with gaps for their texts."""

    template: Template
    fields: tuple[str, ...]
    turns: list[tuple[str, list[str]]]
    """Role, and texts with the names of fields between them."""

    def filled(self, demos: Sequence[Any]) -> Template:
        texts = {f"{i}.{f}": demo[f] for i, demo in enumerate(demos) for f in self.fields}
        return self.template.with_turns(
            [
                (role, "".join([texts[piece] if i % 2 else piece for i, piece in enumerate(pieces)]))
                for role, pieces in self.turns
            ]
        )


def read_template(messages: Sequence[Mapping[str, Any]], gaps: Mapping[str, str]) -> Template | None:
    """Return the template that messages with gaps are; `None` where they are more than texts, or lack a gap."""
    if not all(isinstance(message["content"], str) for message in messages):
        return None
    *turns, last = [(message["role"], message["content"]) for message in messages]
    if any(last[1].count(gap) != 1 for gap in gaps.values()):
        return None
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else None
    if {role for role, _ in turns} - {"user", "assistant"} or last[0] != "user":
        return None
    pieces = tuple(last[1].split("\0"))
    return Template(system, tuple(turns), last[0], pieces, shared_head(system, turns, last[0]))


def _is_plain(value: object) -> bool:
    """Return whether an adapter writes a text as it is, wherever it stands."""
    return type(value) is str and value != "" and value == value.strip() and CUSTOM_TYPE not in value


def spellings(options: Sequence[Any]) -> dict[str, Any]:
    """Map texts to the options they mean: an option's own text, and its plain one where no other option has that."""
    counts = Counter(map(_plain, options))
    plain = {_plain(option): option for option in options if _plain(option) and counts[_plain(option)] == 1}
    return plain | {str(option).strip(): option for option in options}


def _plain(label: object) -> str:
    """Return a label without case, quotes, and punctuation around it."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", str(label)).casefold()
