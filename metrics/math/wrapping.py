"""What stands around the text of a model: tokens of its template, its thoughts, tags, JSON, a farewell."""

from __future__ import annotations

import re
from collections import deque

_SIGNS_OF_A_VALUE = "0123456789\\$"
LONGEST_FAREWELL = 400
"""Characters."""

_BAR = "[|\uff5c]"
_END_OF_TURN = re.compile(
    rf"<{_BAR}(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|return|end[_\u2581]of[_\u2581]sentence|END_OF_TURN_TOKEN){_BAR}>"
    r"|</s>|<end_of_turn>|<eos>|\[INST\]"
)
_TOKEN = re.compile(rf"<{_BAR}[^<>\n]{{1,40}}{_BAR}>|</?s>|<(?:start|end)_of_turn>(?:model)?|<[be]os>|\[/?INST\]")
_FINAL_CHANNEL = "<|channel|>final<|message|>"
_THOUGHT = re.compile(r".*</think(?:ing)?>", re.DOTALL)
_NAME = r"(?:final[ _-]?)?(?:answer|result)"
_TAGGED = re.compile(
    rf"<(?P<tag>{_NAME}|final)>(?P<tagged>.*?)</(?P=tag)>|\[(?P<bracket>{_NAME})\](?P<bracketed>.*?)\[/(?P=bracket)\]"
    r"|\[\[ ## (?:\w+_)?answer ## \]\](?P<field>.*?)(?=\[\[ ## |\Z)",
    re.DOTALL | re.IGNORECASE,
)
_IN_JSON = re.compile(
    rf"""["']{_NAME}["']\s*:\s*(?:"(?P<text>(?:[^"\\]|\\.)*)"|'(?P<quoted>(?:[^'\\]|\\.)*)'|\[(?P<list>[^\[\]]*)\]"""
    r"""|(?P<bare>[-\w.+]+))[^{}]*\}(?:\s*```)?""",
    re.IGNORECASE,
)
_STATES_MORE = re.compile(r"boxed|\banswers?\b|####", re.IGNORECASE)
_HOLDERS = ("tagged", "bracketed", "field", "text", "quoted", "list", "bare")
_FAREWELL = re.compile(
    r"(?:\n\s*|(?<=[.!?$})\]*\d])\s+)[*_]*(?:"
    r"(?:please |do |you can )?(?:let me know|feel free|reach out)|(?:please )?(?:do not|don['\u2019]t) hesitate"
    r"|(?:I )?(?:really )?hope (?:this|that|it|you)\b|is there anything|(?:do|would|are) you\b|any (?:\w+ )?questions"
    r"|if (?:you|there)(?:['\u2019]re| are| is| have| need| want| would| wish|['\u2019]d)? "
    r"(?:any|further|more|help|like|to|anything|other|another|still)\b"
    r"|have a (?:great|nice|good|wonderful|lovely)|good luck|happy (?:to|learning|studying|calculating)|glad |thanks"
    r"|thank you|you['\u2019]re welcome|best (?:regards|wishes)|cheers|regards|I['\u2019]m (?:here|happy|glad)"
    r"|great (?:question|job)|enjoy|bye|see you"
    r")[^\n\d\\$]*\Z",
    re.IGNORECASE,
)


def unwrapped(text: str) -> str:
    """Return what the model says: without tokens, thoughts, tags, the rest of a JSON object, and a farewell."""
    if "<" in text or "[INST" in text or "[/INST" in text:
        text = _without_tokens(text)
    if "[" in text or "<" in text:
        text = _held(text, _TAGGED)
    if "}" in text and ":" in text:
        text = _held(text, _IN_JSON)
    return _without_farewell(text.strip())


def _without_tokens(text: str) -> str:
    text = text.rpartition(_FINAL_CHANNEL)[2]
    thought = _THOUGHT.match(text) if "</think" in text else None
    text = text[thought.end() :] if thought and text[thought.end() :].strip() else text
    end = next((end for end in _END_OF_TURN.finditer(text) if _TOKEN.sub("", text[: end.start()]).strip()), None)
    return _TOKEN.sub(" ", text[: end.start()] if end else text)


def _held(text: str, wrapping: re.Pattern[str]) -> str:
    """Return what the last tag, or field of JSON, holds; the text as it is where more is stated after it."""
    last = deque(wrapping.finditer(text), maxlen=1)
    if not last or _STATES_MORE.search(text[last[0].end() :]):
        return text
    groups = last[0].groupdict()
    held = next(str(groups[name]) for name in _HOLDERS if groups.get(name) is not None).strip()
    if held in ("null", "None"):
        return ""
    if groups.get("list") is not None or groups.get("text") is not None:
        held = held.replace('"', "").replace("\\\\", "\\")
    return held if _STATES_MORE.search(held) else f"#### {' '.join(held.split())}"


def _without_farewell(text: str) -> str:
    farewell = True
    while farewell:
        last = max(map(text.rfind, _SIGNS_OF_A_VALUE))
        found = _FAREWELL.search(text, max(last + 1, len(text) - LONGEST_FAREWELL)) if len(text) - last > 8 else None
        farewell, text = found is not None, text[: found.start()].rstrip() if found else text
    return text
