"""Days of the calendar, in the ways in which people write them."""

from __future__ import annotations

import re

_NAMES = "january february march april may june july august september october november december".split()
_MONTH = r"(?P<month>" + "|".join(rf"{name[:3]}(?:t|{name[3:]})?\.?" for name in _NAMES) + r")(?![a-z])"
_DAY = r"(?:the\s+)?(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?!\d)"
_YEAR = r"(?P<year>\d{4})(?!\d)"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?"
_WRITTEN = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}{_MONTH}\s+{_DAY}(?:\s*,?\s*{_YEAR})?",
        rf"{_WEEKDAY}{_DAY}\s+(?:day\s+)?(?:of\s+)?{_MONTH}(?:\s*,?\s*{_YEAR})?",
        rf"{_MONTH}\s*,?\s*(?:of\s+)?{_YEAR}",
        r"(?P<year>\d{4})[-/.](?P<month>0?[1-9]|1[0-2])[-/.](?P<day>0?[1-9]|[12]\d|3[01])(?!\d)",
        r"(?P<month>0?[1-9]|1[0-2])/(?P<day>1[3-9]|2\d|3[01])/(?P<year>\d{4})(?!\d)",
        r"(?P<day>1[3-9]|2\d|3[01])[./](?P<month>0?[1-9]|1[0-2])[./](?P<year>\d{4})(?!\d)",
    )
]
"""Those in figures are left out where day and month might be exchanged."""
_HAS_MONTH = re.compile(rf"\b{_MONTH}|\d{{4}}[-/.]\d|\d[./]\d{{4}}", re.IGNORECASE)


def date(text: str) -> str | None:
    """Return the key of a date, as "date 2021-7-4"; year or day may be missing ("date -7-4", "date 2021-7")."""
    if not _HAS_MONTH.search(text):
        return None
    found = next(filter(None, (form.fullmatch(text) for form in _WRITTEN)), None)
    if found is None:
        return None
    parts = found.groupdict()
    day = f"-{int(parts['day'])}" if parts.get("day") else ""
    return f"date {parts.get('year') or ''}-{_number(parts['month'])}{day}"


def date_in(sentence: str, place: int) -> str | None:
    """Return the date in a sentence of which the number at this place is part."""
    if not _HAS_MONTH.search(sentence):
        return None
    dates = (found for form in _WRITTEN for found in form.finditer(sentence))
    return next((found.group() for found in dates if found.start() <= place < found.end()), None)


def _number(month: str) -> int:
    return int(month) if month.isdigit() else 1 + [name[:3] for name in _NAMES].index(month[:3].lower())
