"""The key of an answer: a text that is equal for answers that are the same."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache, partial

from lbt_dspy.metrics.math.dates import date
from lbt_dspy.metrics.math.extract import giving_up
from lbt_dspy.metrics.math.intervals import conditions, inequality
from lbt_dspy.metrics.math.normal import number, plain, without_degrees
from lbt_dspy.metrics.math.options import option
from lbt_dspy.metrics.math.pool import KEPT_KEYS, LATE, fingerprint
from lbt_dspy.metrics.math.split import CLOSE, OPEN, closing, deepest, listed, split
from lbt_dspy.metrics.math.variables import apart, is_product
from lbt_dspy.metrics.math.wording import changes, is_changed, leaves_open, without_tail
from lbt_dspy.metrics.math.words import (
    AMOUNT,
    FUNCTIONS,
    in_base,
    key_of_words,
    named,
    number_in_words,
    quantities,
    ratio,
    remainder,
    scaled,
    time_of_day,
)

DEEPEST = 12

_APPROXIMATE = re.compile(
    r"\\approx|\\simeq|\(?\s*(?:or|which is|i\.e\.)\s+(?:approximately|about|roughly|around)"
    r"|\(\s*(?:approx|about|rounded)|,\s*(?:approximately|about|if|so)\b|\b(?:where|when|which|since|because|for any)\b"
    r"|(?<=[\d})])\s+(?:is|are|was)\b"
)
_SIMPLIFIED = re.compile(
    r"^.*\bwhich (?:simplifies|reduces|is equal|is equivalent|equals|rounds|is(?! -?\d*\.))(?: up| down)?(?: to)? "
    r"(?=[-\d\\(.])"
)
_LEAD = re.compile(
    r"^(?:approximately|approx\.?|about|roughly|around|exactly|only|a total of|both|option|choice|at(?=\s+\d+[: ])"
    rf"|(?:an?|the)(?=\s+(?!(?:{FUNCTIONS})\b)[a-zA-Z]{{3,}}\b))\s+",
    re.IGNORECASE,
)
_MEMBER = re.compile(r"^(?:\\[a-z]+|[a-zA-Z])(?:\([a-z]\))?\s*\\in(?![a-z])\s*(?=[(\[«{\\])")
_UNIT = re.compile(
    rf"\s+(?!(?:{FUNCTIONS})\b)(?:[a-zA-Z]{{3,}}|(?:of|on|in|at|is|by)\b)"
    r"|\s*(?<![a-zA-Z\\])(?:cm|mm|km|kgs?|mg|lbs?|oz|ft|in|mi|hrs?|mins?|secs?|mL|ml|mph|dollars?|cents?|USD|units?|sq|am|pm|a\.m|p\.m)\b"
    r"|(?<=\d)\s+[mgshL](?![a-zA-Z(])(?:\s*\^\s*\{?\d\}?)?$"
    rf"|(?<=\d)(?!(?:{FUNCTIONS}))(?=[a-z]*[aeiou])[a-z]{{4,}}"
    rf"|(?<=\d)\s*\((?!(?:{FUNCTIONS})\b)[a-zA-Z][a-z -]{{2,}}\)$|(?<=\d)\s*m/(?:s|min|h)\b|(?<=\d)\s+times$"
)
_COUNTED = re.compile(
    rf"({AMOUNT})\s*(?:/\s*|\ba?\s+|-)(?!(?:{FUNCTIONS})\b)([a-zA-Z]{{2,}})|({AMOUNT})(?:[KMGT][bB]|Hz|Pa|Wh|Ah)\b"
)
_COMPOUND = re.compile(r".*\bremainder\b|\D*?[a-z]{2,},?\s+(?:and\s+)?[\d.]+\s*[a-z]{2,}", re.IGNORECASE)
_ASSIGNED = re.compile(r"([a-zA-Z]+|\\[a-z]+)\s*=([^=]+)")
_LABELLED = re.compile(r"[A-Z][a-z]{2,} \d+")
_BUILDER = re.compile(
    r"^\s*([a-zA-Z])\s*(?:\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\\mid(?![a-z])|:|\|)\s*(?=\1\b|.*[<>]|.*\\[lgn]e)"
)


@lru_cache(maxsize=KEPT_KEYS)
def key_of(answer: str) -> str | None:
    """Return the key of an answer, `None` when it says nothing; it begins with `LATE` when that took too long."""
    text = apart(plain(answer))
    if not re.search(r"\w|\\", text):
        return None
    return _key(text) if deepest(text) <= DEEPEST else LATE + text


def equation(text: str) -> str | None:
    """Return a key of an equation in x, y, z that does not change with its form, `None` when it is none."""
    sides = split(plain(text), "=")
    if len(sides) != 2 or len(set(re.findall(r"(?<![a-zA-Z\\])[xyz]", text))) < 2:
        return None
    found = re.search(r"\[(.*)\]", fingerprint(f"({sides[0]})-({sides[1]})"))
    if found is None:
        return None
    values = found[1].split("; ")
    return "equation " + "; ".join(map(_negative, values) if values[0].startswith("-") else values)


def _negative(value: str) -> str:
    return value[1:] if value.startswith("-") else f"-{value}"


def _key(text: str) -> str:
    text = _LEAD.sub("", text.lstrip(" ,;:'").rstrip(" .,;:'"))
    if text.endswith(")") and "(" not in text and "[" not in text:
        text = text[:-1]
    if not text:
        return '""'
    value = number(text.rstrip("% "))
    if value is not None:
        return str(value)
    gave_up = giving_up(text)
    if gave_up:
        return gave_up
    return option(text) or date(text) or (key_of_words(text) if is_changed(text) else _of_parts(text))


def _of_parts(text: str) -> str:
    told = number_in_words(text) or quantities(text) or _of_amount(text)
    if told:
        return told
    exact, rounded = _exact(text)
    if exact != text:
        key = _key(exact)
        return _key(rounded) if re.search(r"\d", rounded) and key.startswith(("unworked", '"')) else key
    at_once = conditions(text, _key)
    if at_once:
        return at_once
    text = _MEMBER.sub("", text)
    compound = _COMPOUND.match(text)
    items = [text] if compound else listed(text)
    if len(items) > 1:
        return _of_point(items, text) or _of_set(items, text)
    if len(split(text, "=")) > 1:
        return _of_chain(text)
    if r"\pm" in text and not text.startswith("\\begin"):
        return _of_set([_sum(text, "+"), _sum(text, "-")], text)
    for shape in (_matrix, _bracketed, partial(inequality, key=_key), in_base, named, time_of_day, ratio, remainder):
        shaped = shape(text)
        if shaped is not None:
            return shaped
    return key_of_words(text) if compound else _of_value(text)


def _of_amount(text: str) -> str | None:
    """Return the key of "3 million dollars" and "5 apples"; of "Day 5" and "72 dozen" as they are."""
    scale, counted = scaled(text), _COUNTED.match(text)
    if scale or _LABELLED.fullmatch(text):
        return str(scale[1]) if scale else key_of_words(text)
    if not counted or re.search(r"\d|[=\\]", text[counted.end() :]) or is_product(counted[2] or ""):
        return None
    amount = counted[1] or counted[3]
    return key_of_words(text) if changes(text[len(amount) :]) else str(number(amount))


def _of_point(items: list[str], text: str) -> str | None:
    """Return the key of the point that "x = 3, y = 4" is; `None` for values of one variable."""
    sides = [_ASSIGNED.fullmatch(item.strip()) for item in items]
    values = {side[1]: side[2] for side in sides if side}
    if len(values) < len(items) or len(split(text, "or")) > 1:
        return None
    names = sorted(values) if all(len(name) == 1 for name in values) else list(values)
    return _key(f"({', '.join(values[name] for name in names)})")


def _sum(text: str, sign: str) -> str:
    r"""Return one of the two values of a \pm b, worked out where both are plain numbers."""
    first, second = (number(part) for part in text.split(r"\pm", 1))
    if first is None or second is None:
        return text.replace(r"\pm", sign)
    return str(first + second if sign == "+" else first - second)


def _exact(text: str) -> tuple[str, str]:
    """Return what is given as exact, and what follows: an approximation, or an explanation."""
    text = _SIMPLIFIED.sub("", text)
    value = without_tail(text)
    if value != text and not _key(value).startswith('"'):
        return value, ""
    after = _APPROXIMATE.search(text)
    if after is None:
        return text, ""
    before, rest = text[: after.start()].strip(" ,("), text[after.end() :]
    if leaves_open(rest) and not re.match(r"\s*\d", rest) and "approx" not in after.group():
        return text, ""
    exact = re.search(r"\d|\\[a-z]", before) or (before and not re.search(r"\d", rest))
    return (before, rest) if exact else (rest, "")


def _of_chain(text: str) -> str:
    """Return the key of the last side; of the equation where it is not a value that is stated."""
    sides = [side.strip() for side in split(text, "=") if side.strip()]
    if not sides:
        return key_of_words(text)
    if _turned(sides):
        sides = sides[-1:] + sides[:-1]
    left = _unknowns(sides[0])
    bare = re.fullmatch(r"[a-zA-Z]|\([a-z, ]+\)|[a-zA-Z]\([^()]*\)", sides[0])
    if len(sides) == 2 and not bare and (len(left) > 1 or (left and sides[1] == "0")):
        return equation(text) or key_of_words(text)
    values = [number(side) for side in sides[-2:]]
    if len(values) == 2 and values[0] is not None and values[1] is not None and values[0] != values[1]:
        decimals = len(sides[-1].rpartition(".")[2]) if "." in sides[-1] else None
        rounded = decimals is not None and abs(values[0] - values[1]) * 10**decimals <= 1
        return str(values[0]) if rounded else key_of_words(text)
    return _key(sides[-1])


def _turned(sides: list[str]) -> bool:
    """Whether this is "2x + 3 = y", or "6 = 2x + 3y"."""
    if re.fullmatch("[a-zA-Z]", sides[-1]):
        return not re.fullmatch("[a-zA-Z]", sides[0])
    return len(sides) == 2 and number(sides[0]) is not None and len(_unknowns(sides[1])) > 1


def _unknowns(side: str) -> set[str]:
    return set(re.findall(r"(?<![a-zA-Z\\])[xyz](?![a-zA-Z(])", side))


def _of_set(items: list[str], text: str) -> str:
    items = [item for item in items if item.strip()]
    keys = [_key(item) for item in items]
    late = next((key for key in keys if key.startswith(LATE)), None)
    if late is not None:
        return late
    if any(key.startswith('"') for key in keys):
        return key_of_words(text)
    percentages = [key for key, item in zip(keys, items, strict=True) if item.strip().endswith("%") and number(key)]
    shares = {str(Fraction(key) / 100): key for key in percentages}
    members = {member for key in keys for member in _members(key)}
    members -= {shares[key] for key in members & set(shares)}
    return members.pop() if len(members) == 1 else "{" + " | ".join(sorted(members)) + "}"


def _members(key: str) -> list[str]:
    return key[1:-1].split(" | ") if key.startswith("{") else [key]


def _matrix(text: str) -> str | None:
    inside = re.fullmatch(
        r"\\begin\s*\{([pbBs]?(?:mall)?matrix|array)\}(?:\s*\{[lcr| ]+\})?((?:(?!\\end).)*)\\end\s*\{\1\}", text
    )
    if inside is None:
        return None
    return _rows([row.split("&") for row in inside[2].split(r"\cr") if row.strip()])


def _rows(cells: list[list[str]]) -> str:
    """Return the key of a matrix; one column or row is a vector."""
    rows = [[_key(cell) for cell in row] for row in cells]
    flat = [cell for row in rows for cell in row]
    if len(flat) == max(len(rows), len(rows[0]) if rows else 0):
        return f"({', '.join(flat)})"
    return f"[{'; '.join(', '.join(row) for row in rows)}]"


def _bracketed(text: str) -> str | None:
    """Return the key of a tuple, an interval, a set, or of what stands alone in brackets."""
    if text[0] not in OPEN or text[-1] not in CLOSE or closing(text) != len(text) - 1:
        return None
    inside = _BUILDER.sub("", text[1:-1]) if text[0] == "«" else text[1:-1]
    separator = ";" if len(split(inside, ";")) > 1 else ","
    parts = inside.split(",") if re.fullmatch(r"-?\d+(,-?\d+)+", inside) else split(inside, separator)
    if len(parts) == 1:
        return _key(inside) if inside.strip() else None
    if text.startswith("[[") and all(part.strip()[:1] == "[" for part in parts):
        return _rows([split(part.strip()[1:-1], ",") for part in parts])
    if text[0] in "«{":
        return _of_set(parts, text)
    keys = [_key(part) for part in parts]
    late = next((key for key in keys if key.startswith(LATE)), None)
    vector = text[0] == "[" and text[-1] == "]" and len(keys) > 2
    return late or ("(" if vector else text[0]) + ", ".join(keys) + (")" if vector else text[-1])


def _of_value(text: str) -> str:
    """Return the key of one value, without its unit."""
    text = without_degrees(text)
    lead = re.match(AMOUNT, text)
    unit = next((unit for unit in _UNIT.finditer(text) if not is_product(_letters(unit.group()))), None)
    if unit and unit.start() and re.search(r"[\d)}]|\\pi|^[a-z]\b", text[: unit.start()]):
        return (
            key_of_words(text) if changes(text[lead.end() if lead else unit.start() :]) else _key(text[: unit.start()])
        )
    value = number(text)
    if value is not None:
        return str(value)
    if (
        lead
        and number(lead.group()) is not None
        and re.match(r"\s*%", text[lead.end() :])
        and not changes(text[lead.end() :])
    ):
        return str(number(lead.group()))
    if re.search(r"[A-Za-z]{3,}", re.sub(rf"\\[A-Za-z]+|\b(?:{FUNCTIONS})\b", "", text)) and not re.search(r"\d", text):
        return key_of_words(text)
    return fingerprint(text) if re.search(r"\d|\\|^[a-zA-Z]\b|[+*/^|-]|^[a-z]{2}$", text) else key_of_words(text)


def _letters(unit: str) -> str:
    found = re.search(r"[a-zA-Z]+", unit)
    return found.group() if found else ""
