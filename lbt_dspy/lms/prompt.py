"""Read a rendered prompt back, for models in this process: demonstrations, the question, the layout of the answer.

Understands DSPy's `ChatAdapter` and `JSONAdapter`.
"""

from __future__ import annotations

import json
import operator
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
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
DECLARES_OUTPUTS = "\nYour output fields are:\n"
DECLARES_LAYOUT = "\nAll interactions will be structured in the following way"
DECLARED = re.compile(r"^\d+\. `(\w+)` \(", re.MULTILINE)
LITERAL = re.compile(r"^\d+\. `(\w+)` \(Literal\[", re.MULTILINE)
QUOTED = re.compile(r"""(?:"([^"]*)"|'((?:\\'|[^'])*)')(?:, (?=["'])|\](?=\)))""")
CLOSING = re.compile(r"\s*^\[\[ ## completed ## \]\]\s*\Z", re.MULTILINE)
CACHED_PROMPTS = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """The part of a prompt that all questions of one exam share."""

    inputs: tuple[str, ...]
    """Names of the input fields, in their order; empty where the prompt does not say."""
    demonstrations: tuple[tuple[Mapping[str, str], Mapping[str, str]], ...]
    """(input fields, output fields) of each demonstration."""
    options: Mapping[str, tuple[str, ...]]
    """The allowed values of each output field that names them."""


def chat_sections(text: str, names: Collection[str] = ()) -> dict[str, str]:
    """Split `[[ ## name ## ]]` sections; the closing `completed` marker is left out.

    Args:
        text: Of one message.
        names: The fields that it may have, in their order, so that a line that looks like a header belongs to the text
            it stands in; none: every such line is one.
    """
    order = {name: place for place, name in enumerate(names)}
    found: dict[str, str] = {}
    place, name, start = -1, "", 0
    for header in FIELD.finditer(text):
        here = order.get(header[1], -1) if names else place + 1
        if here > place:
            found[name] = text[start : header.start()].strip()
            place, name, start = here, header[1], header.end()
    found[name] = text[start:].strip()
    return {name: body for name, body in found.items() if name not in ("", "completed")}


def json_sections(text: str) -> dict[str, str]:
    """Read a JSON object whose values become text."""
    value = json.loads(text)
    return {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in value.items()}


def read_question(text: str, fields: tuple[str, ...] = ()) -> tuple[dict[str, str], tuple[str, ...], bool]:
    """Return the input fields of the last message, the output fields it asks for, and whether as JSON.

    Args:
        text: The message.
        fields: All input fields, in their order; empty where they are not known.
    """
    at, ask = max((text.rfind(ask), ask) for ask in (CHAT_ASK, JSON_ASK))
    if at < 0:
        raise UserError(
            "a model in this process got a prompt that it cannot read; it understands dspy.ChatAdapter and "
            f"dspy.JSONAdapter: ...{text[-80:]!r}"
        )
    as_json = ask == JSON_ASK
    pattern = r"`(\w+)`" if as_json else r"`\[\[ ## (\w+) ## \]\]`"
    names = tuple(name for name in re.findall(pattern, "`" + text[at + len(ask) :]) if name != "completed")
    return chat_sections(text[:at], fields), names, as_json


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
    inputs, outputs = (tuple(DECLARED.findall(part)) for part in _declarations(system))
    listed = {field: _options(values, in_json=bool(quoted)) for quoted, field, values in OPTIONS.findall(system)}
    demonstrations = []
    texts = [message.text or "" for message in request.messages[:-1]]
    for asked, answered in zip(texts[::2], texts[1::2], strict=False):
        try:
            is_json = answered.lstrip().startswith("{")
            answers = json_sections(answered) if is_json else chat_sections(CLOSING.sub("", answered), outputs)
        except (ValueError, AttributeError):
            continue
        demonstrations.append((chat_sections(asked, inputs), answers))
    return Prompt(inputs=inputs, demonstrations=tuple(demonstrations), options=listed | _literals(system))


def _declarations(system: str) -> tuple[str, str]:
    """Return the lists of input and of output fields that a prompt begins with; "" for none."""
    before, found, rest = system.partition(DECLARES_OUTPUTS)
    return (before, rest.partition(DECLARES_LAYOUT)[0]) if found else ("", "")


def _literals(system: str) -> dict[str, tuple[str, ...]]:
    """Return the values of fields that are declared as texts of a Literal: there each stands in quotes."""
    found: dict[str, tuple[str, ...]] = {}
    outputs = _declarations(system)[1]
    for field in LITERAL.finditer(outputs):
        values, at = [], field.end()
        while (value := QUOTED.match(outputs, at)) is not None:
            values.append(value[1] if value[1] is not None else _unescaped(value[2]))
            at = value.end()
        if values and outputs.startswith("]", at - 1):
            found[field[1]] = tuple(values)
    return found


def _unescaped(value: str) -> str:
    """Return a value in single quotes; DSPy escapes these where the value has quotes of both kinds."""
    return value.replace("\\'", "'") if '"' in value else value


def question_text(inputs: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Join the input fields that a classifier reads."""
    if len(names) == 1:
        return inputs.get(names[0], "")
    return "\n".join(inputs.get(name, "") for name in names)


def _options(listed: str, *, in_json: bool) -> tuple[str, ...]:
    """Return the values that a prompt lists; in a JSON layout they stand at the end of a string."""
    text = json.loads('"' + re.sub(r",$", "", listed.rstrip())) if in_json else listed
    return tuple(option.strip() for option in text.split(";"))
