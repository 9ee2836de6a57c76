"""Answers in plain form: one way to write each sign, no typesetting, no units, no words around a value."""

from __future__ import annotations

import re
from fractions import Fraction

from lbt_dspy.metrics.math.signs import ascii_of
from lbt_dspy.metrics.math.split import closing

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
        (r"\\(?:[dtcsx]|nice)frac", r"\\frac"),
        (r"\\(?:geq|geqslant)(?![a-z])", r"\\ge "),
        (r"\\(?:leq|leqslant)(?![a-z])", r"\\le "),
        (r"\\neq(?![a-z])|\\not\s*=", r"\\ne "),
        (r"^\s*(?:<|\\langle)(.*,.*)(?:>|\\rangle)\s*$", r"(\1)"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"\*\*(?=[-+]?\s*\d|\()|(?<=[\w)}])\s*\*\*\s*(?=[-+]?\w)", "^"),
        (r"\*\*+|`|\"", " "),
        (r"\\rightarrow|\\to(?![a-z])", "="),
        (r"«\s*»|\\varnothing(?![a-z])", r"\\emptyset "),
    ]
]
_COMMANDS = [
    (re.compile(pattern), to)
    for pattern, to in [
        (r"\\[dt]binom", r"\\binom"),
        (r"\\num\s*\{([^{}]*)\}", r" \1 "),
        (r"\\(?:SI|qty)\s*\{([^{}]*)\}\s*\{\\?([^{}]*)\}", r" \1 \2 "),
        (r"\\(?:land|wedge)(?![a-z])", " and "),
        (r"\\(?:lor|vee)(?![a-z])", " or "),
    ]
]
_ROOT_IN_WORDS = re.compile(r"\b(?:the )?(?:(?:positive|principal) )?(square |cube )?root (?:of )?(\d+)\b")
_SIMPLE_FRACTION = re.compile(r"\\frac\{\s*(-?\d+)\s*\}\{\s*(-?\d+)\s*\}")
_NUMBER = re.compile(r"([-+]?)\s*(\d{1,3}(?:[, ]\d{3})+|\d+)?(\.\d+)?(?:[eE]([-+]?\d{1,2}))?$")
_SLASHED = re.compile(r"([-+]?)\(?\s*(-?[\d.,]+)\s*\)?\s*/\s*\(?\s*(-?[\d.,]+)\s*\)?$")
_MIXED = re.compile(r"([-+]?)\s*(\d+)\s*(?:\\frac\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}|\s+(\d+)/(\d+))$")
_DEGREES = re.compile(
    r"\s*(?:\^\s*\{?\s*\\circ\s*\}?(?:\s*[CF])?|\bdegrees?\b(?:\s+(?:celsius|fahrenheit))?)\s*$", re.IGNORECASE
)
_RECURRING = re.compile(r"(?<![\d.])(\d{0,9})\.(\d{0,9})\\(?:overline|bar|dot)\s*(?:\{(\d{1,9})\}|(\d))(?!\d)")
_BARE_EXPONENT = re.compile(r"\^\s*([-+]\s*(?:\d+(?:\.\d+)?|[a-zA-Z](?![a-zA-Z])|\\[a-z]+(?![a-z{]))|\d+\.\d+|\d{2,})")
_CALLED = re.compile(r"(?<![a-zA-Z])\\?(sqrt|cbrt|exp)\s*(\[3\])?\s*\(")
_CALLS = {"sqrt": r"\sqrt", "cbrt": r"\sqrt[3]", "exp": "e^"}
_COMPLEX = re.compile(r"(?:[-+*/().\d\s{}j]|\\?(?:frac|sqrt|pi|cdot|times)(?![a-z]))+")
LONGEST_NUMBER = 400
"""Characters; longer ones are no answer to anything."""


def plain(answer: str) -> str:
    """Return the answer without typesetting: ASCII where there is an ASCII sign, one backslash, braced arguments."""
    if not answer.isascii():
        answer = ascii_of(answer)
    if "\\begin" in answer:
        answer = re.sub(r"\\\\\s*(?=[-\d.(])|\\\\(?!\w)", r"\\cr ", answer)
    for _ in range(2):
        answer = _TEXT.sub(r" \1 ", answer)
    for pattern, to in _DECORATIONS:
        answer = pattern.sub(to, answer)
    answer = re.sub(r"\\lbrace(?![a-z])|\\\{", "«", re.sub(r"\\rbrace(?![a-z])|\\\}", "»", answer))
    for pattern, to in _RULES + _COMMANDS if "\\" in answer else _RULES:
        answer = pattern.sub(to, answer)
    if "root" in answer:
        answer = _ROOT_IN_WORDS.sub(lambda m: rf"\sqrt{'[3]' if m[1] == 'cube ' else ''}{{{m[2]}}}", answer)
    answer = _RECURRING.sub(_as_fraction, answer)
    answer = re.sub(r"\\frac\s*(\d)\s*(?=[\d{])", r"\\frac{\1}", answer)
    answer = re.sub(r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}", answer)
    answer = re.sub(r"\\sqrt\s*(\d)", r"\\sqrt{\1}", answer)
    answer = _BARE_EXPONENT.sub(r"^{\1}", re.sub(r"\\frac\s+\{", r"\\frac{", answer))
    answer = _imaginary(_called(answer))
    return " ".join(answer.split()).lstrip(" ,;:'*").rstrip(" .,;:'*")


def _called(answer: str) -> str:
    r"""Return the answer with \sqrt{5} for sqrt(5), and e^{7} for exp(7)."""
    call = _CALLED.search(answer)
    while call:
        end = closing(answer[call.end() - 1 :])
        if end < 0:
            return answer
        inside, rest = answer[call.end() : call.end() - 1 + end], answer[call.end() + end :]
        answer = f"{answer[: call.start()]}{_CALLS[call[1]]}{call[2] or ''}{{{inside}}}{rest}"
        call = _CALLED.search(answer)
    return answer


def _imaginary(answer: str) -> str:
    """Return the answer with i for the imaginary unit of engineers, j, where nothing else is unknown."""
    return (
        re.sub(r"j(?![a-z])", "i", answer)
        if "j" in answer and _COMPLEX.fullmatch(answer) and re.search(r"\d", answer)
        else answer
    )


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
