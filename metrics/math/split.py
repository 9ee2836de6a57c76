"""Splits an answer at the signs that are outside of all brackets."""

from __future__ import annotations

import re

OPEN, CLOSE = "([{«", ")]}»"


def listed(text: str) -> list[str]:
    """Return the parts of a union or an enumeration; the text alone where it is none."""
    for separator in (r"\cup", ";", ",", "and", "or"):
        parts = split(text, separator)
        if len(parts) > 1:
            return [item for part in parts if part.strip() for item in listed(part)]
    return [text]


def split(text: str, separator: str) -> list[str]:
    """Split at a sign or word that is outside of all brackets; a comma before three digits is no separator."""
    if separator not in text:
        return [text]
    parts, depth, last = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in OPEN) - (sign in CLOSE)
        if depth <= 0 and text.startswith(separator, place) and _separates(text, separator, place):
            parts.append(text[last:place])
            last = place + len(separator)
    return [*parts, text[last:]]


def _separates(text: str, separator: str, place: int) -> bool:
    if separator == ",":
        return not re.match(r"(?:,\d{3})+(?!\d)", text[place:]) or not text[:place][-1:].isdigit()
    if separator.isalpha():
        return not text[place - 1 : place].strip() and not text[place + len(separator) :][:1].strip()
    return separator != "=" or text[place - 1 : place] not in ("!", "<", ">")


def closing(text: str) -> int:
    """Return where the bracket that the text starts with is closed, -1 where it never is."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in OPEN) - (sign in CLOSE)
        if depth == 0:
            return place
    return -1


def deepest(text: str) -> int:
    """Return how deep the brackets are nested."""
    depth = most = 0
    for sign in text:
        depth += (sign in OPEN) - (sign in CLOSE)
        most = max(most, depth)
    return most
