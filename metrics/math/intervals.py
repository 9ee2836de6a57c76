"""Inequalities of one variable as intervals, alone and where several hold at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from lbt_dspy.metrics.math.normal import number
from lbt_dspy.metrics.math.split import split
from lbt_dspy.metrics.math.words import key_of_words

_INTERVAL = re.compile(r"([(\[])([^,|]+), ([^,|]+)([)\]])")
_CONDITION = re.compile(r"\\[gln]e(?![a-z])|<|>")
_SIDES = re.compile(r"\\le(?![a-z])|\\ge(?![a-z])|<|>")
_VARIABLE = re.compile(r"[a-zA-Z]|\\[a-z]+")

Key = Callable[[str], str]
"""Gives the key of what stands at a side of an inequality."""


@dataclass(frozen=True, kw_only=True)
class End:
    """An end of an interval."""

    value: Fraction | float
    key: str
    closed: bool


def inequality(text: str, key: Key) -> str | None:
    """Return the interval that an inequality of one variable is, and the two where it may not be a number."""
    other = re.fullmatch(r"[a-zA-Z]\s*\\ne(?![a-z])([^=<>\\]*)|\\mathbb\s*\{?R\}?\s*(?:\\setminus|-)\s*«([^»]*)»", text)
    hole = other and number(other[1] or other[2] or "")
    if hole is not None:
        return f"{{(-oo, {hole}) | ({hole}, oo)}}"
    signs = _SIDES.findall(text)
    sides = [side.strip() for side in _SIDES.split(text)]
    if len(signs) not in (1, 2):
        return None
    if len(signs) == 1:
        if _VARIABLE.fullmatch(sides[1]):
            sides, signs = sides[::-1], [{"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}[signs[0]]]
        if not _VARIABLE.fullmatch(sides[0]):
            return None
        closed = "[]" if "\\" in signs[0] else "()"
        below = signs[0] in ("<", r"\le")
        return f"(-oo, {key(sides[1])}{closed[1]}" if below else f"{closed[0]}{key(sides[1])}, oo)"
    if signs[0] in (">", r"\ge"):
        sides, signs = sides[::-1], [{">": "<", r"\ge": r"\le"}.get(s, s) for s in signs[::-1]]
    if not _VARIABLE.fullmatch(sides[1]) or not set(signs) <= {"<", r"\le"}:
        return None
    return f"{'(['['e' in signs[0]]}{key(sides[0])}, {key(sides[2])}{')]'['e' in signs[1]]}"


def conditions(text: str, key: Key) -> str | None:
    """Return the key of inequalities that hold at once, "x > 5 and x < 7"; `None` where there is one, or a choice."""
    if not _CONDITION.search(text) or len(split(text, "or")) > 1 or r"\cup" in text:
        return None
    by_word = split(text, "and")
    parts = [part.strip() for piece in by_word for part in split(piece, ",") if part.strip()]
    if len(parts) < 2:
        return None
    parts = _with_subject(parts)
    names = {name for part in parts for name in re.findall(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])", part)}
    ranges = [inequality(part, key) or key(part) for part in parts]
    shared = _common(ranges) if len(names) == 1 else None
    return shared or (key_of_words(" & ".join(sorted(parts))) if len(by_word) > 1 else None)


def _with_subject(parts: list[str]) -> list[str]:
    r"""Return conditions with the variable that some leave out: "x > 5 and < 7", "x \ne 2, 3"."""
    whole = [parts[0]]
    for part in parts[1:]:
        subject = re.match(r"([a-zA-Z])\s*(\\ne)?", whole[-1])
        if subject and _CONDITION.match(part):
            part = f"{subject[1]} {part}"
        elif subject and subject[2] and number(part) is not None:
            part = f"{subject[1]} {subject[2]} {part}"
        whole.append(part)
    return whole


def _common(keys: list[str]) -> str | None:
    """Return the key of what intervals, or unions of them, have in common.

    "" where they have nothing in common, `None` where one is no interval between numbers.
    """
    unions = [_intervals(key) for key in keys]
    shared = unions[0]
    for union in unions[1:]:
        if shared is None or union is None:
            return None
        both = [_both(*pair) for pair in product(shared, union)]
        shared = [pair for pair in both if pair is not None]
    return None if shared is None else _key(shared)


def _intervals(key: str) -> list[tuple[End, End]] | None:
    parts = [_INTERVAL.fullmatch(part) for part in key.removeprefix("{").removesuffix("}").split(" | ")]
    ends = [_ends(part) for part in parts if part]
    known = [pair for pair in ends if pair is not None]
    return known if len(known) == len(parts) else None


def _ends(interval: re.Match[str]) -> tuple[End, End] | None:
    low, high = _value(interval[2]), _value(interval[3])
    if low is None or high is None:
        return None
    return (
        End(value=low, key=interval[2], closed=interval[1] == "["),
        End(value=high, key=interval[3], closed=interval[4] == "]"),
    )


def _value(key: str) -> Fraction | float | None:
    if key.endswith("oo"):
        return -math.inf if key.startswith("-") else math.inf
    try:
        return Fraction(key.partition("#")[0])
    except ValueError:
        return None


def _both(one: tuple[End, End], other: tuple[End, End]) -> tuple[End, End] | None:
    low = max(one[0], other[0], key=lambda end: (end.value, not end.closed))
    high = min(one[1], other[1], key=lambda end: (end.value, end.closed))
    empty = low.value > high.value or (low.value == high.value and not (low.closed and high.closed))
    return None if empty else (low, high)


def _key(intervals: list[tuple[End, End]]) -> str:
    keys = [
        low.key if low.value == high.value else f"{'(['[low.closed]}{low.key}, {high.key}{')]'[high.closed]}"
        for low, high in intervals
    ]
    return "{" + " | ".join(sorted(set(keys))) + "}" if len(set(keys)) > 1 else "".join(keys)
