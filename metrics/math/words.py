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
_SMALL = {name: value for value, name in enumerate(_ONES)} | {name: 10 * tens for tens, name in enumerate(_TENS, 2)}
_PARTS = {
    name + plural: parts
    for parts, names in enumerate(("half", "third", "quarter fourth", *_ORDINALS[4:]), 2)
    for name in names.split()
    for plural in ("", "s")
} | {"halves": 2}
_ARTICLES = frozenset(("a", "an", "and", "minus", "negative"))
_NUMBER_WORDS = frozenset(("hundred", "thousand", "million", "billion", *_ARTICLES, *_SMALL, *_PARTS))
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
    r"[\d)}]\s*(?:(?P<before>square|cubic|sq|cu)\b\.?\s*)?(?P<unit>"
    + "|".join(sorted(_KINDS, key=len, reverse=True))
    + r")s?\b(?:\.?\s*(?:\^\s*\{?\s*(?P<power>\d)|(?P<after>squared|cubed))|(?=\s*[.)/]|\s+per\b|\s*$))"
)
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}


def number_in_words(text: str) -> str | None:
    """Return the key of "one half", "two and a half", "one hundred and five", "minus two thirds"; `None` for others."""
    words = re.split(r"[\s-]+", text.casefold().strip())
    if not _NUMBER_WORDS.issuperset(words) or _ARTICLES.issuperset(words):
        return None
    sign = -1 if words[0] in ("minus", "negative") else 1
    whole, _, part = " ".join(words[sign < 0 :]).rpartition(" and ")
    if part.rpartition(" ")[2] in _PARTS:
        share = _share(part)
        total = _whole(whole.split()) if whole else Fraction(0)
    else:
        share, total = Fraction(0), _whole(words[sign < 0 :])
    return None if share is None or total is None else str(sign * (total + share))


def _share(words: str) -> Fraction | None:
    """Return the value of "two thirds", "a half", "half"."""
    count, _, part = words.rpartition(" ")
    many = Fraction(1) if count in ("", "a", "an") else _whole(count.split())
    return None if many is None or (not count and part != "half") else many / _PARTS[part]


def _whole(words: list[str]) -> Fraction | None:
    """Return the value of "one hundred and five"; `None` for what is no whole number."""
    total = group = 0
    for word in words:
        if word in _SMALL:
            if group % 10 or (group % 100 and _SMALL[word] >= 10):
                return None
            group += _SMALL[word]
        elif word == "hundred":
            group = (group or 1) * 100
        elif word in _SCALES:
            total, group = total + (group or 1) * _SCALES[word], 0
        elif word != "and" or not total + group:
            return None
    return Fraction(total + group) if words and words[-1] != "and" else None


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
    units = [unit_named(unit) for _, unit in found]
    if len(found) < 2 or between or len(set(units)) < len(units):
        return None
    return (
        '"'
        + " + ".join(sorted(f"{number(amount)} {unit}" for (amount, _), unit in zip(found, units, strict=True)))
        + '"'
    )


def other_units(text: str, other: str) -> bool:
    """Whether both texts have a unit, of one kind and not the same: 5 cm and 5 m, 5 cm and 5 cm^2."""
    (kind, *unit), (other_kind, *other_unit) = _unit(text), _unit(other)
    return bool(kind) and kind == other_kind and unit != other_unit


def unit_named(name: str) -> str:
    """Return the first of the names of a unit, or the name itself in the singular."""
    one = name.removesuffix("s")
    return _KINDS.get(name, _KINDS.get(one, ("", one.lower())))[1]


def _unit(text: str) -> tuple[str, str, int]:
    """Return kind, name and power of the first unit."""
    found = _UNIT.search(text)
    if not found:
        return "", "", 0
    power = int(found["power"] or 0) or _POWERS.get(found["before"] or found["after"] or "", 1)
    return (*_KINDS[found["unit"]], power)
