"""Thoughts that a model wrote before its answer, in one text with it: where they end.

Servers without a parser for them leave them there, some templates write their beginning into the prompt, and some
models never come to their end. The journal keeps the whole text; what is parsed or graded is the answer.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_WORDS = (
    r"(?:[\w.-]+:)?(?:\w+_)?think(?:ing)?|thoughts?|(?:thought|thinking)[_-]process|chain[_-]of[_-]thought",
    "reasoning|reflection|scratchpad|in(?:ner|ternal)[_-]monologue",
)
_STYLES = (
    *((rf"<\s*(?:{word})(?:\s[^<>/]*)?>", rf"<\s*/\s*(?:{word})\s*>") for word in _WORDS),
    (r"◁\s*think\s*▷", r"◁\s*/\s*think\s*▷"),
    (r"(?-i:\[THINK\])", r"(?-i:\[/THINK\])"),
    (r"<\|(?:(?:begin|start)_(?:of_)?)?th(?:ought|ink(?:ing)?)\|>", r"<\|(?:/|end_(?:of_)?)th(?:ought|ink(?:ing)?)\|>"),
    (r"<\|channel\|>analysis<\|message\|>", r"<\|channel\|>final<\|message\|>"),
    (r"<\|channel>thought\b", r"<channel\|>"),
)
"""How thoughts begin and end: with DeepSeek, Qwen and most others; when a prompt asked for them; with Kimi; Magistral;
Command A, OpenThinker; gpt-oss; Gemma."""
_MARKS = ("<", "◁", "[THINK]", "[/THINK]")
_WITHIN = ("think", "thought", "reasoning", "reflection", "scratchpad", "monologue", "channel")
"""Each tag has one of both: most texts have not, and are told apart a hundred times faster by that."""
_TAG = re.compile(
    "(?=[<[◁])(?:"
    + "|".join(f"(?P<begin{i}>{begin})|(?P<end{i}>{end})" for i, (begin, end) in enumerate(_STYLES))
    + ")",
    re.IGNORECASE,
)
_BEFORE = re.compile(rf"(?:(?!{_TAG.pattern})(?:\s|[\ufeff\u200b]|<s>|<\|\w+\|>(?:assistant\b)?))*", re.IGNORECASE)
"""What may stand before the beginning of thoughts: marks of a template that were left in."""
_EMPTY_LINES = re.compile(r"(?:[ \t]*\r?\n)+")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})([^\n`]*)$", re.MULTILINE)
_INLINE = re.compile(r"(?<!`)(`{1,2})(?!`)[^`\n]+\1(?!`)")
_HEADER = re.compile(r"\[\[ ## (\w+) ## \]\]")
_FIELDS = re.compile(rf"{_HEADER.pattern}|\{{")
_QUOTE_ENDS = re.compile(r"[\"'`\u2018-\u201d\u00ab\u00bb](?:[\s,;:.)\]}]|$)")
_MID_SENTENCE = re.compile(r"[\w,;:(\[][ \t]+$|[(\[]$"), re.compile(r"[ \t]+[a-z(]|[ \t]*[.,;:)?!\]]")
_ABOUT_TAGS = re.compile(r"[ \t]+(?:(?:tags?|blocks?|tokens?|elements?|markers?)\b|(?:and|or) [<\[◁`\"'])|[,)]")
_NEAR = 40
_ENDS_SENTENCE = ".!?>]\n"


def with_thoughts(thoughts: str, answer: str) -> str:
    """Return thoughts that came apart from their answer as most models write them: before it, tags in them disarmed."""
    disarmed = _TAG.sub(lambda tag: f"({tag[0].strip('<>[]|◁▷ ')})", thoughts)
    return f"<think>\n{disarmed}\n</think>\n\n{answer}"


def answer_in(text: str, is_field: Callable[[str], bool] | None = None) -> str:
    """Return a reply without its thoughts; the same text where it has none, nothing where it never left them.

    Thoughts are blocks at the start or before the first field, and all before an end without a beginning. A tag that is
    quoted, in code or in the middle of a sentence is spoken about, and none of thoughts. Neither is an end without a
    beginning where the whole text is JSON, or where the answer's fields go on after it.

    Args:
        text: All that a model wrote.
        is_field: Whether the prompt asks for an output field of this name, as a tag; `None`: for none.
    """
    if not any(mark in text for mark in _MARKS):
        return text
    folded = text.casefold()
    if not any(word in folded for word in _WITHIN):
        return text
    tags = _tags(text, is_field or (lambda name: False))
    return _Reply(text, tags).answer() if tags else text


@dataclass(frozen=True)
class _Tag:
    """Where thoughts begin or end."""

    start: int
    end: int
    style: str
    begins: bool
    sure: bool
    """False: between fences of code, but alone on its line; thoughts may have left a fence open."""


def _tags(text: str, is_field: Callable[[str], bool]) -> list[_Tag]:
    found = list(_TAG.finditer(text))
    fields = {name for name in set(map(_name, found)) if name and is_field(name)}
    fences, tags = _Spans(_fenced(text)), []
    quoted = _Spans(match.span() for match in _INLINE.finditer(text))
    for tag in found:
        start, end = tag.span()
        style, sure = str(tag.lastgroup), not fences.hold(start)
        if _name(tag) in fields or quoted.hold(start) or _is_spoken_about(text, start, end):
            continue
        if sure or not text[text.rfind("\n", 0, start) + 1 : start].strip():
            tags.append(_Tag(start, end, style.strip("begind"), style.startswith("begin"), sure))
    return tags


def _name(tag: re.Match[str]) -> str:
    """Return the name of a tag as XML has it; "" of others."""
    return re.sub(r"^<\s*/?\s*|[\s>].*$", "", tag[0]) if tag[0][0] == "<" and tag[0][1] != "|" else ""


class _Spans:
    """Parts of a text, asked about from left to right."""

    def __init__(self, spans: Iterator[tuple[int, int]]) -> None:
        self._spans = spans
        self._next = next(spans, None)

    def hold(self, place: int) -> bool:
        while self._next is not None and self._next[1] <= place:
            self._next = next(self._spans, None)
        return self._next is not None and self._next[0] <= place


def _fenced(text: str) -> Iterator[tuple[int, int]]:
    """Give what is between fences; one that another opening follows was left open."""
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is not None and not fence[2].strip() and fence[1].startswith(opened[1]):
            yield opened.start(), fence.end()
            opened = None
        else:
            opened = fence


def _is_spoken_about(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    if _QUOTE_ENDS.match(after) or _ABOUT_TAGS.match(after):
        return True
    return bool(_MID_SENTENCE[0].search(before) and _MID_SENTENCE[1].match(after))


class _Reply:
    """A text, and the tags of thoughts in it."""

    def __init__(self, text: str, tags: Sequence[_Tag]) -> None:
        self._text = text
        self._tags = tags
        self._last = {(tag.style, tag.sure): i for i, tag in enumerate(tags) if not tag.begins}
        """The last end of a style, among those that are sure or not."""
        self._headers = [(m.start(), m[1]) for m in _HEADER.finditer(text) if m[1] != "completed"]
        self._last_header = {name: place for place, name in self._headers}

    def answer(self) -> str:
        """Return what is no thoughts."""
        start = first = 0
        while True:
            end = self._end_of_block(start, first)
            if end is None:
                end = self._end_alone(start, first)
            if end is None:
                break
            if end == len(self._tags):
                return ""
            start, first = self._tags[end].end, end + 1
        if not first:
            return self._text
        lines = _EMPTY_LINES.match(self._text, start)
        return self._without_blocks(lines.end() if lines else start, first)

    def _end_of_block(self, start: int, first: int) -> int | None:
        """Return the tag that ends the block at a place, the number of tags where none does; `None`: no block."""
        if first == len(self._tags) or not self._tags[first].begins:
            return None
        before, end = _BEFORE.match(self._text, start), self._end_of(first)
        at_start = before is not None and before.end() == self._tags[first].start
        return end if at_start or self._stands_before_fields(start, first, end) else None

    def _stands_before_fields(self, start: int, begin: int, end: int) -> bool:
        """Return whether an answer's first field comes after a block, or only a draft of it within one."""
        tag = self._tags[begin]
        if not tag.sure or _FIELDS.search(self._text, start, tag.start):
            return False
        if end == len(self._tags):
            return _HEADER.search(self._text, tag.end) is not None
        return _FIELDS.match(self._text[self._tags[end].end :].lstrip()) is not None

    def _end_of(self, begin: int) -> int:
        """Return the end of a block, the last one where ends and beginnings do not pair; the number of tags: none."""
        style, depth = self._tags[begin].style, 0
        last = next((i for sure in (True, False) if (i := self._last.get((style, sure), -1)) > begin), None)
        if last is None:
            return len(self._tags)
        for i in range(begin, last):
            tag = self._tags[i]
            if tag.style == style and tag.sure:
                depth += 1 if tag.begins else -1
                if not depth:
                    return i
        return last

    def _end_alone(self, start: int, first: int) -> int | None:
        """Return the next end of thoughts without a beginning; `None`: there is none."""
        depth: Counter[str] = Counter()
        for i in range(first, len(self._tags)):
            tag = self._tags[i]
            if tag.sure and not tag.begins and not depth[tag.style]:
                return None if self._goes_on(start, tag) else i
            if tag.sure:
                depth[tag.style] += 1 if tag.begins else -1
        return None

    def _goes_on(self, start: int, tag: _Tag) -> bool:
        """Return whether an answer goes on after a tag: as JSON, or with fields that it has not had."""
        if not start and _is_json(self._text):
            return True
        had = self._headers[bisect_left(self._headers, (start,)) : bisect_left(self._headers, (tag.start,))]
        return bool(had) and self._headers[-1][0] > tag.start > max(self._last_header[name] for _, name in had)

    def _without_blocks(self, start: int, first: int) -> str:
        """Return an answer that thoughts came before without the blocks between its sentences."""
        kept, i = [], first
        while i < len(self._tags):
            tag = self._tags[i]
            before = self._text[start : tag.start].rstrip(" \t")
            if not (tag.begins and tag.sure and before[-1:] in _ENDS_SENTENCE):
                i += 1
                continue
            kept.append(self._text[start : tag.start])
            end = self._end_of(i)
            start = len(self._text) if end == len(self._tags) else self._tags[end].end
            i = end + 1
        return "".join([*kept, self._text[start:]])


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False
