"""Read a rendered prompt back, for models in this process: demonstrations, the question, the layout of the answer.

Understands DSPy's `ChatAdapter` and `JSONAdapter`.
"""

from __future__ import annotations

import json
import operator
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from dspy.lm15 import Request

from lbt_dspy.errors import UserError

FIELD = re.compile(r"^\[\[ ## (\w+) ## \]\]$", re.MULTILINE)
CHAT_ASK = "\n\nRespond with the corresponding output fields, starting with the field `"
JSON_ASK = "\n\nRespond with a JSON object in the following order of fields: `"
XML_ASK = "Respond with the corresponding output fields wrapped in XML tags "
OPTIONS = re.compile(
    r"(\"\w+\": \")?\{(\w+)\} +# note: the value you produce must exactly match \(no extra characters\) one of: (.+)"
)
CACHED_PROMPTS = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """The part of a prompt that all questions of one exam share."""

    demonstrations: tuple[tuple[Mapping[str, str], Mapping[str, str]], ...]
    """(input fields, output fields) of each demonstration."""
    options: Mapping[str, tuple[str, ...]]
    """The allowed values of each output field that names them."""


def chat_sections(text: str) -> dict[str, str]:
    """Split `[[ ## name ## ]]` sections; the closing `completed` marker is left out."""
    pieces = FIELD.split(text)
    return {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True) if name != "completed"}


def json_sections(text: str) -> dict[str, str]:
    """Read a JSON object whose values become text."""
    value = json.loads(text)
    return {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in value.items()}


def read_question(text: str) -> tuple[dict[str, str], tuple[str, ...], bool]:
    """Return the input fields of the last message, the output fields it asks for, and whether as JSON."""
    for ask, as_json in ((CHAT_ASK, False), (JSON_ASK, True)):
        body, found, wish = text.rpartition(ask)
        if found:
            pattern = r"`(\w+)`" if as_json else r"`\[\[ ## (\w+) ## \]\]`"
            names = tuple(name for name in re.findall(pattern, "`" + wish) if name != "completed")
            return chat_sections(body), names, as_json
    raise UserError(
        "a model in this process got a prompt that it cannot read; it understands dspy.ChatAdapter and "
        f"dspy.JSONAdapter: ...{text[-80:]!r}"
    )


def asks_for_tag(request: Request, name: str) -> bool:
    """Return whether a prompt asks for an output field as a tag of this name, as `XMLAdapter` does."""
    system, last = str(request.system or ""), request.messages[-1].text or ""
    return f"<{name}>\n{{{name}}}" in system + last or f"`<{name}>`" in last.rpartition(XML_ASK)[2].partition("\n")[0]


def write_answer(values: Mapping[str, object], as_json: bool) -> str:
    """Write output fields in the layout that the prompt asked for."""
    if as_json:
        return json.dumps(values, ensure_ascii=False)
    parts = [
        f"[[ ## {name} ## ]]\n{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
    ]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


class PromptReader:
    """Reads the shared part of prompts once: first by object identity, then by content."""

    def __init__(self) -> None:
        self._by_identity: OrderedDict[tuple[int, ...], tuple[Request, Prompt]] = OrderedDict()
        self._last: tuple[Request, Prompt] | None = None

    def read(self, request: Request) -> Prompt:
        """Return what `request` holds before its last message."""
        last = self._last
        if last is None or not _same_shared(last[0], request):
            last = self._last = self._read(request)
        return last[1]

    def _read(self, request: Request) -> tuple[Request, Prompt]:
        key = (id(request.system), *map(id, request.messages[:-1]))
        hit = self._by_identity.get(key)
        if hit is None:
            hit = self._by_identity[key] = (request, _read_shared(request))  # the request keeps its parts' ids
            if len(self._by_identity) > CACHED_PROMPTS:
                self._by_identity.popitem(last=False)
        return hit


def _same_shared(one: Request, other: Request) -> bool:
    """Return whether all but the last message of two requests are the same objects."""
    mine, theirs = one.messages, other.messages
    return one.system is other.system and len(mine) == len(theirs) and all(map(operator.is_, mine[:-1], theirs[:-1]))


def _read_shared(request: Request) -> Prompt:
    system = request.system if isinstance(request.system, str) else ""
    options = {field: _options(listed, in_json=bool(quoted)) for quoted, field, listed in OPTIONS.findall(system)}
    demonstrations = []
    texts = [message.text or "" for message in request.messages[:-1]]
    for asked, answered in zip(texts[::2], texts[1::2], strict=False):
        try:
            outputs = json_sections(answered) if answered.lstrip().startswith("{") else chat_sections(answered)
        except (ValueError, AttributeError):
            continue
        demonstrations.append((chat_sections(asked), outputs))
    return Prompt(demonstrations=tuple(demonstrations), options=options)


def question_text(inputs: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Join the input fields that a classifier reads."""
    if len(names) == 1:
        return inputs.get(names[0], "")
    return "\n".join(inputs.get(name, "") for name in names)


def _options(listed: str, *, in_json: bool) -> tuple[str, ...]:
    """Return the values that a prompt lists; in a JSON layout they stand at the end of a string."""
    text = json.loads('"' + re.sub(r",$", "", listed.rstrip())) if in_json else listed
    return tuple(option.strip() for option in text.split(";"))
