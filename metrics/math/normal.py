"""Answers in plain form: one way to write each sign, no typesetting, no units, no words around a value."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_SIGNS = {
    "\N{GREEK SMALL LETTER PI}": r"\pi ",
    "\N{GREEK SMALL LETTER THETA}": r"\theta ",
    "\N{INFINITY}": r"\infty ",
    "\N{MULTIPLICATION SIGN}": r"\times ",
    "\N{DIVISION SIGN}": "/",
    "\N{FRACTION SLASH}": "/",
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
    "\N{ELEMENT OF}": r"\in ",
    "\N{DEGREE SIGN}": r"^\circ",
    "\N{EURO SIGN}": "$",
    "\N{POUND SIGN}": "$",
    "\N{CENT SIGN}": " cents",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    **{sign: f"^{unicodedata.digit(sign)}" for sign in "\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"},
    **{sign: f" {unicodedata.normalize('NFKC', sign)}" for sign in "\u00bc\u00bd\u00be\u2153\u2154"},
}
_BRACED = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_TEXT = re.compile(
    r"\\(?:text|mbox|textbf|textit|textrm|textsf|texttt|textnormal|emph|underline|framebox|fbox|boldsymbol|bm"
    r"|mathrm|mathbf|mathit|mathsf|operatorname)\s*" + _BRACED
)
_DECORATIONS = [
    (re.compile(pattern), to)
    for pattern, to in [
        (r"<(b|i|u|p|em|strong|span|code|mark)>(.*?)</\1>", r" \2 "),
        (r"(?<![\w)\]}*])\*\*(?=[^\s*])([^*]+)\*\*(?![\w(*])", r" \1 "),
        (r"^\s*([*_]{1,2})(?=[^\s*_])([^*_]+)\1\s*$", r" \2 "),
        (r"\\(?:checkmark|(?:black)?square|Box|qed)(?![a-z])|[\u2713\u2714\u2705\u25a0\u25a1\u220e]\ufe0f?", " "),
        (r"\\(?:text)?color\s*\{[^{}]*\}|\\(?:small|[lL]arge|LARGE|[hH]uge|bf|it|rm|textstyle)(?![a-zA-Z])", " "),
    ]
]
_RULES = [
    (re.compile(pattern), to)
    for pattern, to in [
        (r"\\\\(?=[a-zA-Z(){}\[\]])", r"\\"),
        (r"(?<=\d)(?:\s*\^\s*\{\s*(?:th|st|nd|rd)\s*\}|(?:th|st|nd|rd)\b)", " "),
        (r"(?<=[)\]])\s*U\s*(?=[(\[])", r"\\cup "),
        (r"\{,\}|,\s*\\!\s*", ","),
        (r"\b(?:negative|minus)\s+(?=[\d.\\$(])", "-"),
        (r"(?<=\d)\s*(?:percent|per cent)\b", "%"),
        (r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\times "),
        (r"\bUS\s*(?=\\?\$)", " "),
        (r"\+\s*/\s*-", r"\\pm "),
        (r"\{?\s*(\w+)\s*\\choose(?![a-z])\s*(\w+)\s*\}?", r"\\binom{\1}{\2}"),
        (r"\\frac\s*\{\s*([a-z]{1,2})\s*\}\s*\{\s*([smhL]|min|hr)\s*\}$", r" \1/\2"),
        (r"\\(?:left|right|bigg?|Bigg?)(?![a-z])\.?|\\displaystyle|\\[!,;:]|\\quad|\\qquad|\\limits", " "),
        (r"\\ |~|\\\n", " "),
        (r"\\[()\[\]]", " "),
        (r"\\\$|\$", " "),
        (r"\\%", "%"),
        (r"\\[dt]frac", r"\\frac"),
        (r"\\(?:geq|geqslant)(?![a-z])", r"\\ge "),
        (r"\\(?:leq|leqslant)(?![a-z])", r"\\le "),
        (r"\\neq(?![a-z])|\\not\s*=", r"\\ne "),
        (r"^\s*(?:<|\\langle)(.*,.*)(?:>|\\rangle)\s*$", r"(\1)"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"\*\*(?=\d|\()", "^"),
        (r"\*\*+|`|\"", " "),
        (r"\\rightarrow|\\to(?![a-z])", "="),
        (r"«\s*»|\\varnothing(?![a-z])", r"\\emptyset "),
    ]
]
_SIMPLE_FRACTION = re.compile(r"\\frac\{\s*(-?\d+)\s*\}\{\s*(-?\d+)\s*\}")
_NUMBER = re.compile(r"([-+]?)\s*(\d{1,3}(?:[, ]\d{3})+|\d+)?(\.\d+)?(?:[eE]([-+]?\d{1,2}))?$")
_SLASHED = re.compile(r"([-+]?)\(?\s*(-?[\d.,]+)\s*\)?\s*/\s*\(?\s*(-?[\d.,]+)\s*\)?$")
_MIXED = re.compile(r"([-+]?)\s*(\d+)\s*(?:\\frac\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}|\s+(\d+)/(\d+))$")
_DEGREES = re.compile(
    r"\s*(?:\^\s*\{?\s*\\circ\s*\}?(?:\s*[CF])?|\bdegrees?\b(?:\s+(?:celsius|fahrenheit))?)\s*$", re.IGNORECASE
)
_RECURRING = re.compile(r"(?<![\d.])(\d{0,9})\.(\d{0,9})\\(?:overline|bar|dot)\s*(?:\{(\d{1,9})\}|(\d))(?!\d)")
_EXPONENT_OF_DIGITS = re.compile(r"\^(\d{2,})")
LONGEST_NUMBER = 400
"""Characters; longer ones are no answer to anything."""


def plain(answer: str) -> str:
    """Return the answer without typesetting: ASCII where there is an ASCII sign, one backslash, braced arguments."""
    if not answer.isascii():
        answer = _ascii(answer)
    if "\\begin" in answer:
        answer = re.sub(r"\\\\\s*(?=[-\d.(])|\\\\(?!\w)", r"\\cr ", answer)
    for _ in range(2):
        answer = _TEXT.sub(r" \1 ", answer)
    for pattern, to in _DECORATIONS:
        answer = pattern.sub(to, answer)
    answer = re.sub(r"\\lbrace(?![a-z])|\\\{", "«", re.sub(r"\\rbrace(?![a-z])|\\\}", "»", answer))
    for pattern, to in _RULES:
        answer = pattern.sub(to, answer)
    answer = _RECURRING.sub(_as_fraction, answer)
    answer = re.sub(r"\\frac\s*(\d)\s*(?=[\d{])", r"\\frac{\1}", answer)
    answer = re.sub(r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}", answer)
    answer = re.sub(r"\\sqrt\s*(\d)", r"\\sqrt{\1}", answer)
    answer = _EXPONENT_OF_DIGITS.sub(r"^{\1}", re.sub(r"\\frac\s+\{", r"\\frac{", answer))
    return " ".join(answer.split()).lstrip(" ,;:'*").rstrip(" .,;:'*")


def _ascii(answer: str) -> str:
    answer = re.sub("\N{SQUARE ROOT}\\s*\\(", "sqrt(", answer)
    answer = re.sub("\N{SQUARE ROOT}\\s*([\\w.]+|\\{[^{}]*\\})", r"\\sqrt{\1}", answer)
    answer = unicodedata.normalize("NFKC", "".join(_SIGNS.get(sign, sign) for sign in answer))
    return "".join(_SIGNS.get(sign) or str(unicodedata.decimal(sign, sign)) for sign in answer)


def _as_fraction(decimal: re.Match[str]) -> str:
    r"""Return 0.1\overline{6} as \frac{1}{6}."""
    whole, fixed, period = decimal[1] or "0", decimal[2], decimal[3] or decimal[4]
    value = Fraction(int(whole + fixed + period) - int(whole + fixed), 10 ** len(fixed) * (10 ** len(period) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def number(text: str) -> Fraction | None:
    r"""Return the value of a plain number: "-1,234.5", "3/4", "\frac{3}{4}" or "1 \frac{3}{4}"; `None` for all else."""
    text = text.strip()
    if not text or len(text) > LONGEST_NUMBER or not (text[-1] in "0123456789})." and text[0] in "-+.0123456789\\("):
        return None
    simple = _NUMBER.match(text)
    if simple and (simple[2] or simple[3]):
        digits = re.sub("[, ]", "", simple[2] or "0")
        return Fraction(f"{simple[1]}{digits}{simple[3] or ''}e{simple[4] or 0}")
    mixed = _MIXED.match(text)
    if mixed:
        sign, whole, *parts = mixed.groups()
        upper, lower = (part for part in parts if part)
        return None if not int(lower) else (-1 if sign == "-" else 1) * (int(whole) + Fraction(int(upper), int(lower)))
    slashed = _SLASHED.match(_SIMPLE_FRACTION.sub(r"\1/\2", text))
    if slashed:
        upper, lower = number(slashed[2]), number(slashed[3])
        sign = -1 if slashed[1] == "-" else 1
        return sign * Fraction(upper) / Fraction(lower) if upper is not None and lower else None
    return None


def without_degrees(text: str) -> str:
    """Return the text without a degree sign at its end."""
    return _DEGREES.sub("", text)
