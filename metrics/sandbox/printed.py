"""What a script has printed beside what was expected, as judges compare: tokens, and numbers with a fraction nearly."""

from __future__ import annotations

import re
from decimal import Decimal

NUMBER = re.compile(
    r"(?<![^\s\[({,;:=])([+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)(?=[\])},;:%\s]|\.?(?:\s|$))"
)
"""A number that is a token, or an item of a list; "3.10b", "1.2.3" and "'0.5'" are words."""
MILLIONTH = Decimal("1e-6")
BILLIONTH = Decimal("1e-9")
SIGNIFICANT = Decimal("1e-3")
NOISE = Decimal("1e-15")


def same_output(got: str, expected: str, stdin: str = "") -> bool:
    """Tell whether a script has printed what was expected.

    Lines are compared with lines, their tokens with tokens: words and whole numbers exactly; a number that is expected
    with a fraction or an exponent nearly (see `_is_near`). Blanks and empty lines do not count, unless the input or the
    expected output has others than one blank between tokens: there spacing may be the answer, as in a picture.
    Blanks at the ends of lines and empty lines at the end never count.
    """
    wanted = _lines(expected)
    if _has_shape(wanted) or _has_shape(_lines(stdin)):
        lines = _lines(got)
    else:
        lines = [line for line in map(_plain, _lines(got)) if line]
    return lines == wanted or (len(lines) == len(wanted) and all(map(_same_line, lines, wanted)))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")] if text.strip() else []


def _plain(line: str) -> str:
    return " ".join(part for part in re.split(r"[ \t\r]+", line) if part)


def _has_shape(lines: list[str]) -> bool:
    return any(line != " ".join(line.split()) or not line for line in lines)


def _same_line(got: str, expected: str) -> bool:
    """Compare the words between the numbers, and the numbers."""
    mine, theirs = NUMBER.split(got), NUMBER.split(expected)
    if len(mine) != len(theirs) or mine[::2] != theirs[::2]:
        return False
    return all(
        one == other or (_has_fraction(other) and _is_near(one, other))
        for one, other in zip(mine[1::2], theirs[1::2], strict=True)
    )


def _has_fraction(number: str) -> bool:
    return not number.lstrip("+-").isdigit()


def _is_near(got: str, expected: str) -> bool:
    """Tell whether a number is the expected one but for rounding and the noise of arithmetic.

    It may be off by less than a millionth, but by no more than a thousandth of a small number, or than its last digit.
    A large number may also be off by half of its last digit, or by a billionth of it up to a thousandth: so two
    amounts of money, or two whole numbers, are never one.
    """
    one, other = Decimal(got), Decimal(expected)
    size = abs(other)
    last_digit = Decimal((0, (1,), min(0, int(other.as_tuple().exponent))))
    small = min(MILLIONTH, max(last_digit, (size or 1) * SIGNIFICANT))
    large = min(size * MILLIONTH, last_digit / 2)
    noise = max(min(size * BILLIONTH, SIGNIFICANT), size * NOISE)
    return abs(one - other) < max(small, large, noise)
