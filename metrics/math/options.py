"""Options of a question with choices, named by their letters."""

from __future__ import annotations

import re

from lbt_dspy.metrics.math.wording import begins_with_cause, is_withdrawn

OPTIONS = "A-J"
"""Ten options, as in MMLU-Pro."""

_OPTION = re.compile(
    rf"\(?([{OPTIONS}])(?:\)(?P<text>[\s.,:;-].*)?|[.:]\s(?P<more>.*)"
    r"|\s+(?:is (?:the )?(?:correct|right)|because|since)\b.*)?$"
    rf"|\(([{OPTIONS.lower()}])\)$",
    re.DOTALL,
)
_ANOTHER = re.compile(
    r"^\W*(?:or|and(?! not\b)|nor|maybe|perhaps|possibly|might|may|could|unless)\b"
    rf"|\b(?:or|and|nor)\s+(?!not\b)(?:\w+\s+)?\(?[{OPTIONS}]\b(?!')|^[\s,;/]*\(?[{OPTIONS}]\)?(?:\W|$)"
)
_IN_BRACKETS = re.compile(rf"(?<!\w)\(([{OPTIONS}])\)(?!\w)")


def option(text: str) -> str | None:
    """Return the key of an option: "B", "(B) 12", "B. Because ..."; `None` where another one is named beside it."""
    found = _OPTION.match(text)
    if found is None:
        return None
    rest = found["text"] or found["more"] or ""
    if not begins_with_cause(f" {rest}") and (_ANOTHER.search(rest) or is_withdrawn(rest)):
        return None
    return f"({(found[1] or found[4]).upper()})"


def options_in(text: str) -> list[str]:
    """Return the keys of the options that stand in brackets."""
    return [f"({letter})" for letter in _IN_BRACKETS.findall(text)]
