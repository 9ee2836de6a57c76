"""Unicode signs of mathematics in ASCII: raised and lowered digits, fractions, letters, brackets."""

from __future__ import annotations

import re
import unicodedata

_SIGNS = {
    "\N{GREEK SMALL LETTER PI}": r"\pi ",
    "\N{GREEK SMALL LETTER THETA}": r"\theta ",
    "\N{INFINITY}": r"\infty ",
    "\N{MULTIPLICATION SIGN}": r"\times ",
    "\N{DIVISION SIGN}": "/",
    "\N{FRACTION SLASH}": "/",
    "\N{DIVISION SLASH}": "/",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{MIDDLE DOT}": r"\cdot ",
    "\N{DOT OPERATOR}": r"\cdot ",
    "\N{ASTERISK OPERATOR}": "*",
    "\N{RATIO}": ":",
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{EMPTY SET}": r"\emptyset ",
    "\N{DOUBLE-STRUCK CAPITAL R}": r"\mathbb{R}",
    "\N{MATHEMATICAL LEFT ANGLE BRACKET}": r"\langle ",
    "\N{MATHEMATICAL RIGHT ANGLE BRACKET}": r"\rangle ",
    "\N{MASCULINE ORDINAL INDICATOR}": r"^\circ",
    "\N{LESS-THAN OR EQUAL TO}": r"\le ",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ge ",
    "\N{NOT EQUAL TO}": r"\ne ",
    "\N{ALMOST EQUAL TO}": r"\approx ",
    "\N{PLUS-MINUS SIGN}": r"\pm ",
    "\N{UNION}": r"\cup ",
    "\N{LOGICAL AND}": " and ",
    "\N{LOGICAL OR}": " or ",
    "\N{ELEMENT OF}": r"\in ",
    "\N{DEGREE SIGN}": r"^\circ",
    "\N{EURO SIGN}": "$",
    "\N{POUND SIGN}": "$",
    "\N{CENT SIGN}": " cents",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}
_ROOTS = {"\N{SQUARE ROOT}": r"\sqrt", "\N{CUBE ROOT}": r"\sqrt[3]", "\N{FOURTH ROOT}": r"\sqrt[4]"}


def _decomposed(form: str) -> str:
    """Return the signs that Unicode calls another, raised (<super>), lowered (<sub>) or in a fraction."""
    return "".join(
        chr(code)
        for code in (*range(0xB2, 0xBF), *range(0x2070, 0x20A0), *range(0x2150, 0x2190), *range(0x1D2C, 0x1D6B))
        if unicodedata.decomposition(chr(code)).startswith(form) and chr(code) != "\N{MASCULINE ORDINAL INDICATOR}"
    )


_RAISED, _LOWERED = (rf"[{_decomposed(form)}]+" for form in ("<super>", "<sub>"))
_SMALL_FRACTION = re.compile(rf"({_RAISED}|{_LOWERED})\s*[/\N{{FRACTION SLASH}}]\s*({_LOWERED})")
_POWER = re.compile(_RAISED)
_INDEX = re.compile(_LOWERED)
_ONE_SIGN_FRACTION = re.compile(rf"[{_decomposed('<fraction>')}]")
_ROOT = re.compile(rf"([{''.join(_ROOTS)}])\s*(?:([\w.]+|\\[a-z]+)|\{{([^{{}}]*)\}})?")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\u202a-\u202e]")


def spelled_out(text: str) -> str:
    """Return the text with powers, indices and fractions that are signs of their own in ASCII; no invisible signs."""
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text)
    text = _SMALL_FRACTION.sub(lambda m: f" {_flat(m[1])}/{_flat(m[2])}", text)
    text = _POWER.sub(lambda m: f"^{{{_flat(m[0])}}}", text)
    text = _INDEX.sub(lambda m: f"_{{{_flat(m[0])}}}", text)
    return _ONE_SIGN_FRACTION.sub(_fraction, text)


def ascii_of(answer: str) -> str:
    """Return the answer with an ASCII sign, or a command of LaTeX, for each sign that has one."""
    answer = _ROOT.sub(_root, spelled_out(answer))
    answer = unicodedata.normalize("NFKC", "".join(_SIGNS.get(sign, sign) for sign in answer))
    return "".join(_SIGNS.get(sign) or str(unicodedata.decimal(sign, sign)) for sign in answer)


def _flat(signs: str) -> str:
    return unicodedata.normalize("NFKC", signs).replace("\N{MINUS SIGN}", "-")


def _root(sign: re.Match[str]) -> str:
    under = sign[2] or sign[3]
    return _ROOTS[sign[1]] + (f"{{{under}}}" if under else "")


def _fraction(sign: re.Match[str]) -> str:
    r"""Return " 1/2", or a \frac where a factor follows at once."""
    upper, lower = _flat(sign[0]).split("\N{FRACTION SLASH}")
    before, after = sign.string[: sign.start()][-1:], sign.string[sign.end() :][:1]
    if after.isalpha() or after in tuple("\\(√"):
        return rf"\frac{{{upper}}}{{{lower}}}"
    return f"{' ' if before.isdigit() else ''}{upper}/{lower}"
