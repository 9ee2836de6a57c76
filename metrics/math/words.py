"""Answers that are no expressions: names of numbers and of sets, times of day, ratios, bases, quantities."""

from __future__ import annotations

import re
from fractions import Fraction

from lbt_dspy.metrics.math.extract import GAVE_UP
from lbt_dspy.metrics.math.normal import number

AMOUNT = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:\s*/\s*\d+)?"
FUNCTIONS = (
    r"sqrt|pi|sin|cos|tan|cot|sec|csc|log|ln|inf|infty|infinity|oo|exp|arc\w*|cdot|times|mod|and|or|base|choose|cr"
)

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
_ONES += "seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_NUMBERS = (
    {name: value for value, name in enumerate(_ONES)}
    | {name: value for value, name in enumerate(_ORDINALS, 1)}
    | {name: 10 * tens for tens, name in enumerate(_TENS, 2)}
    | {f"{name} {one}": 10 * t + o for t, name in enumerate(_TENS, 2) for o, one in enumerate(_ONES[1:10], 1)}
    | {"one hundred": 100, "one thousand": 1000, "one million": 10**6}
)
_SYNONYMS = {"dne": "does not exist"}
_EMPTY = re.compile(r"(?:the )?(?:empty|null) set|\\emptyset", re.IGNORECASE)
_EVERY_NUMBER = re.compile(
    r"\\mathbb\s*\{?R\}?|(?:the set of )?(?:all |any )?(?:the )?real(?: number)?s?", re.IGNORECASE
)
_INFINITY = re.compile(r"([-+]?)\s*(?:(?:negative )?infinity|\\infty|\\?inf|oo|infty)", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2})(?::([0-5]\d))?\s*(?:([ap])\.?\s*m\b\.?)?", re.IGNORECASE)
_RATIO = re.compile(rf"{AMOUNT}(?:\s*:\s*{AMOUNT}){{2,}}|\d+ to \d+")
_BASE = re.compile(r"\(?([0-9A-F]+)\)?\s*(?:_\s*\{?\s*(\w+)\s*\}?|\(?\s*(?:in )?base[ -](\w+)\)?)")
_REMAINDER = re.compile(r"(\d+),?\s*(?:with )?(?:an? )?(?:R|r|rem|remainder)(?: of)?\.?\s*(\d+)")
_SCALED = re.compile(rf"({AMOUNT})\s*(hundred|thousand|million|billion|trillion)\b")
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_QUANTITY = re.compile(rf"({AMOUNT})\s*(?!(?:{FUNCTIONS}|of|on|at|by|is|to|per|for|from|with)\b)([a-zA-Z]{{2,}})\.?")
_UNITS = {
    "length": "mm millimeter millimetre|cm centimeter centimetre|m meter metre|km kilometer kilometre"
    "|inch inches in|ft foot feet|yd yard|mi mile",
    "mass": "mg milligram|g gram|kg kilogram|oz ounce|lb pound",
    "time": "sec second|min minute|h hr hour|day|week|month|year",
    "money": "cent penny pennies|dollar USD",
    "volume": "ml mL milliliter millilitre|L liter litre|qt quart|gal gallon",
}
_KINDS = {
    name: (kind, names.split()[0])
    for kind, units in _UNITS.items()
    for names in units.split("|")
    for name in names.split()
}
_UNIT = re.compile(
    r"[\d)}]\s*(?:(?:square|cubic|sq|cu)\b\.?\s*)?("
    + "|".join(sorted(_KINDS, key=len, reverse=True))
    + r")s?\b(?=\s*[\^.)/]|\s+per\b|\s*$)"
)


def key_of_words(words: str) -> str:
    """Return the key of words, those that name a number included."""
    words = re.sub(r"^(?:an?|the)\s+", "", " ".join(words.casefold().replace('"', "").split()).strip(" .,:'()"))
    words = words.rstrip("!") if re.search(r"[a-z]{2}!+$", words) else words
    value = _NUMBERS.get(words.replace("-", " "))
    return f'"{_SYNONYMS.get(words, words)}"' if value is None else str(value)


def named(text: str) -> str | None:
    """Return the key of infinity, of the empty set (the same as "no solution") and of the real numbers."""
    if _EMPTY.fullmatch(text):
        return GAVE_UP
    if _EVERY_NUMBER.fullmatch(text):
        return "(-oo, oo)"
    sign = _INFINITY.fullmatch(text)
    return sign and ("-oo" if sign[1] == "-" or "negative" in text.lower() else "oo")


def time_of_day(text: str) -> str | None:
    """Return the key of "12:30" or "8 pm"."""
    time = _TIME.fullmatch(text)
    if time is None or not (time[2] or time[3]) or int(time[1]) > (12 if time[3] else 24):
        return None
    return f"{int(time[1])}:{time[2] or '00'}" + (f" {time[3].lower()}m" if time[3] else "")


def ratio(text: str) -> str | None:
    """Return the key of a ratio of three or more numbers, or of "1 to 2"."""
    if not _RATIO.fullmatch(text):
        return None
    parts = [number(part) for part in re.split(r":|to", text)]
    if any(not part for part in parts):
        return f'"{text}"'
    shares = [Fraction(part) / Fraction(parts[0]) for part in parts[1:]]  # type: ignore[arg-type]
    return str(1 / shares[0]) if len(shares) == 1 else "1:" + ":".join(map(str, shares))


def in_base(text: str) -> str | None:
    """Return the key of a number in another base: its digits and the base."""
    digits = _BASE.fullmatch(text)
    base = digits and (digits[2] or digits[3]).lower()
    if not digits or not base:
        return None
    named_base = str(_NUMBERS.get(base, base))
    return f"{digits[1]}_{named_base}" if named_base.isdigit() else None


def remainder(text: str) -> str | None:
    """Return the key of "4 R 2"."""
    parts = _REMAINDER.fullmatch(text)
    return parts and f'"{parts[1]} remainder {parts[2]}"'


def scaled(text: str) -> tuple[Fraction, Fraction] | None:
    """Return 3 and 3000000 for "3 million dollars", `None` where there is no such word."""
    scale = _SCALED.match(text)
    value = scale and number(scale[1])
    if not scale or value is None or re.search(r"[\d=\\,]", text[scale.end() :]):
        return None
    return value, value * _SCALES[scale[2]]


def quantities(text: str) -> str | None:
    """Return the key of "2 feet 3 inches" and the like: two or more quantities in as many units."""
    found = _QUANTITY.findall(text)
    between = _QUANTITY.sub("", text).replace("and", "").strip(" ,")
    units = [
        _KINDS.get(unit, _KINDS.get(unit.removesuffix("s"), ("", unit.lower().removesuffix("s"))))[1]
        for _, unit in found
    ]
    if len(found) < 2 or between or len(set(units)) < len(units):
        return None
    return (
        '"'
        + " + ".join(sorted(f"{number(amount)} {unit}" for (amount, _), unit in zip(found, units, strict=True)))
        + '"'
    )


def other_units(text: str, other: str) -> bool:
    """Whether both texts have a unit, of one kind and not the same: 5 cm and 5 m; powers are not compared."""
    (kind, unit), (other_kind, other_unit) = _unit(text), _unit(other)
    return bool(kind) and kind == other_kind and unit != other_unit


def _unit(text: str) -> tuple[str, str]:
    unit = _UNIT.search(text)
    return _KINDS[unit[1]] if unit else ("", "")
