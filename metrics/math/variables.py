"""Letters that are variables: products of them beside words, and those that occur in both cases."""

from __future__ import annotations

import re
from itertools import pairwise

_COMMAND = re.compile(r"\\[a-zA-Z]+|(?<![a-zA-Z])(?:sqrt|pi|sin|cos|tan|log|ln|exp|and|or)(?![a-zA-Z])")
_WORD = re.compile(r"(?=[a-zA-Z]*[aeiouAEIOU])[a-zA-Z]{3,}")
_CAPITAL = re.compile(r"(\\[A-Z][a-z]+)|\\[a-z]+|([A-Z])(?:_\{?(\w+)\}?)?")
_SHORT_WORDS = frozenset(
    "act ago an ant any art as at be bit bot box boy by cot cry do dry fly for fry go got he hi hit hop hot how if in"
    " is it lot low me min my no nor not now of on or so to two up us we am pm bpm cc cl cm db dl dpi fps ft gb gt h hp"
    " hr hrs hz kb kg kgs kj kl km kn kph kw lb lbs mb mg mi ml mm mol mph ms mw nm oz pg pp ppm psi pt qt rpm rps sec"
    " sq tb usd wpm yd yds yr yrs".split()
)
_LONGEST_PRODUCT = 4


def is_product(run: str) -> bool:
    """Whether letters in a row are variables and no word: "xyz", "pq"; letters in alphabetical order but for words."""
    small = run.lower()
    if small in _SHORT_WORDS or len(run) < 2:
        return False
    if len(run) == 2 or (run.islower() and len(run) <= _LONGEST_PRODUCT and not re.search("[aeiouy]", small)):
        return True
    in_order = all(one < other for one, other in pairwise(small))
    return (
        len(run) <= _LONGEST_PRODUCT
        and in_order
        and not (len(run) == _LONGEST_PRODUCT and small.endswith(("s", "t", "y")))
    )


def apart(text: str) -> str:
    """Return a text in which capitals have an index where the small letter occurs as well: R and r differ."""
    bare = _COMMAND.sub(" ", text)
    both = {letter for letter in re.findall("[A-Z]", bare) if letter.lower() in bare}
    both |= {name for name in re.findall(r"\\[A-Z][a-z]+", text) if name.lower() in text}
    return text if not both or _WORD.search(bare) else _CAPITAL.sub(lambda m: _with_index(m, both), text)


def _with_index(capital: re.Match[str], both: set[str]) -> str:
    name = capital[1] or capital[2]
    return f"{name.lower()}_{{00{capital[3] or ''}}}" if name in both else capital[0]
