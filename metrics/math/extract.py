"""The final answer that a text of a model states: the last statement counts, a loop or a cut before it is no answer."""

from __future__ import annotations

import re

LONGEST_TEXT = 6_000
"""Characters that are read, from the end."""
LONGEST_ANSWER = 1_000
SHORT = 120
"""Characters of one line that may lack the full stop, and of the words that lead to an answer."""
LONGEST_SENTENCE = 300
TRIED = 5
"""Statements that are tried, from the last, since some are empty."""
GAVE_UP = "no solution"
UNDETERMINED = "cannot be determined"

_BOX = re.compile(r"\\+(?:boxed|fbox)\s*(?:\{|(?=[\d\\]))")
_STATEMENT = re.compile(
    r"\banswers?\b[*_]*(?:\s*\([^()\n]{0,40}\))?"
    r"\s*(?:\bis\b|\bare\b|\b(?:would|should|must|will) be\b|[:=])(?! not\b)[*_]*"
    r"|^[ \t]*A:|^[ \t]*####|^[ \t#*]*(?:final|correct) answer[*_]*[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_TITLES = r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)"
_SENTENCE_END = re.compile(_TITLES + r"(?:\.|(?<=[a-z])!)(?=\s+[A-Z\\$*(]|\s*$)|\n")
_LEADING_IN = re.compile(r"(?:\s|[*#_]|\b(?:so|thus|hence|therefore|the|final|correct|our|my)\b,?)*$", re.IGNORECASE)
_SPACES = re.compile(r"([ \t\n])\1{2,}")
_CONFIDENCE = re.compile(r"\n+\s*Confidence:[^\n]*$")
_CALCULATION = re.compile(r"<<[^<>\n]*>>")
_VALUE = (
    r"(?:about |approximately |only |exactly |negative |minus )?(?:[-$£€(\[\\√.]*\d|[-(\[]?\\|√|sqrt|-?pi\b|\([A-H]\))"
)
_DISPLAY = re.compile(r"\s*(\\\[|\$\$)(.*?)(\\\]|\$\$|$)", re.DOTALL)
_GIVING_UP = re.compile(
    r"(no[_\\ ]+solution|\bno (?:(?:real|such|integer|positive|valid) )?(?:solution|answer|value|number)s?\b)"
    r"|\bno unique (?:solution|answer|value|number)\b|cannot be (?:determined|solved|found)"
    r"|impossible to (?:determine|solve|find)|(?:not|in)\s?(?:sufficient|enough) information"
    r"|not sufficient to determine",
    re.IGNORECASE,
)
_PLEASANTRY = re.compile(r"\s*I hope (?:it|this)\b.*", re.DOTALL)
_STATES = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|equal to|get|gets|gives?|has|have|us)\b|[=:])\s*(?=" + _VALUE + ")",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\b(?:therefore|thus|hence|so|total|finally|answer)\b|=", re.IGNORECASE)
_NUMBER = re.compile(r"(?:-|\bnegative |(?<!\d )\bminus )?[$£€]?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*%)?|-?\.\d+")
_MATH = re.compile(r"(?<!\\)\$((?:\\\$|[^$\n])+)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE = re.compile(r"[a-z]{2,} .*\b(?:is|are)\b|[a-z)\d]\.\s+[A-Z]")
_WORDY = re.compile(
    r"\s*[\"'*]*(?:(?:Mr|Mrs|Ms|Dr)\.|(?!sqrt|pi\b|inf|log|sin|cos|tan|oo\b|arc|text)[A-Za-z][a-z']+[\s,:]\s*[^\s=<>^_+*/-])"
)


def final_answer(text: str) -> str | None:
    r"""Return the answer that the text states last, as it is written, or `None` when it states none.

    A statement is a `\boxed{...}`, "the answer is ...", "A: ..." or "#### ...". Without one it is the value of the last
    sentence, provided that the text neither loops nor breaks off. Takes time linear in the text.
    """
    text = text[-LONGEST_TEXT:].replace("\x00", "").replace("\x08oxed", "\\boxed").replace("\x0crac", "\\frac").strip()
    text = _CONFIDENCE.sub("", _SPACES.sub(r"\1\1", text))
    text = _CALCULATION.sub("", text) if "<<" in text else text
    answer = _stated(text)
    if answer is None and not loops(text):
        answer = _concluded(text)
    answer = (answer or "").strip()
    return answer if 0 < len(answer) <= LONGEST_ANSWER else None


def loops(text: str) -> bool:
    """Whether the text ends in at least four repeats, over 60 characters or more, of the same piece."""
    tail = text[-600:]
    for start in range(len(tail) - 12, len(tail) // 4, -1) if len(tail) >= 60 else ():
        period = len(tail) - start
        covered = tail[max(0, len(tail) - max(4 * period, 60)) :]
        if len(covered) >= 4 * period and covered[:-period] == covered[period:]:
            return True
    return len(tail) >= 60 and any(tail[-60:] == (tail[-p:] * 60)[-60:] for p in range(1, 13))


def _stated(text: str) -> str | None:
    boxes = list(_BOX.finditer(text))
    statements = list(_STATEMENT.finditer(text))
    if boxes and (not statements or _end_of_box(text, boxes[-1].end()) > statements[-1].start()):
        answer = _boxed(text, boxes[-1])
        return GAVE_UP if "NO_SOLUTION" in text[boxes[-1].end() :] else answer
    for place, statement in enumerate(reversed(statements[-TRIED:])):
        rest = text[statement.end() :]
        if place == 0 and "NO_SOLUTION" in rest:
            return GAVE_UP
        answer = _statement(rest)
        if answer:
            return answer
        if boxes and boxes[-1].start() > (statements[-place - 2].start() if place + 2 <= len(statements) else -1):
            return _boxed(text, boxes[-1])
    if not statements:
        return None
    before = text[: statements[0].start()]
    return _concluded(before[:-SHORT] + _LEADING_IN.sub("", before[-SHORT:]))


def _boxed(text: str, box: re.Match[str]) -> str:
    """Return what the box holds, and the minus sign that some models leave before it."""
    start = box.end()
    if text[start - 1] != "{":
        bare = re.match(r"-?[\d.,]*\d|\\\w+(?:\{[^{}]*\})*", text[start:])
        return bare.group() if bare else ""
    end = _end_of_box(text, start)
    minus = re.search(r"(?:[=$(\[]|\bis|^)\s*-\s*$", text[max(0, box.start() - SHORT) : box.start()])
    inside = text[start:end]
    return ("-" if minus else "") + (of_sentence(inside) if _WORDY.match(inside) else inside)


def _end_of_box(text: str, start: int) -> int:
    """Return where the brace that opened before `start` closes; where the line ends when it never does."""
    depth = 1
    for end, sign in enumerate(text[start : start + LONGEST_ANSWER], start):
        depth += (sign == "{") - (sign == "}")
        if not depth or (sign == "\n" and text[start:end].strip() and "\\begin" not in text[start:end]):
            return end
    return min(len(text), start + LONGEST_ANSWER + 1)


def _statement(rest: str) -> str:
    """Return the answer at the start of what follows "the answer is"."""
    rest = rest.lstrip(" \t\n:*_=>")
    display = _DISPLAY.match(rest)
    if display:
        return display.group(2)
    first = _PLEASANTRY.sub("", _first_sentence(rest))
    if first.endswith("?") or (len(rest) > len(first) + 1 and _WORDY.match(first) and not re.search(r"\d|\\", first)):
        return _concluded(rest[len(first) :].strip()) or first
    return of_sentence(first) if _WORDY.match(first) else first


def _first_sentence(text: str) -> str:
    if text.startswith("\\begin"):
        return re.split(r"(?<=\\end\{pmatrix\})|(?<=\\end\{bmatrix\})|\n\n", text, maxsplit=1)[0]
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


def _concluded(text: str) -> str | None:
    """Return the value of the last sentence of a text without a statement."""
    if "NO_SOLUTION" in text:
        return GAVE_UP
    lines = [line for line in text.splitlines() if line.strip(" `~*#\t")]
    if not lines:
        return None
    if len(lines) == 1 and not _WORDY.match(lines[0]) and not _SENTENCE.search(lines[0][:LONGEST_SENTENCE]):
        return lines[0].strip(" `~*")
    block = re.search(r"(?:\\\[|\$\$)((?:(?!\\\[|\$\$).)*?)(?:\\\]|\$\$)\s*$", text, re.DOTALL)
    if block:
        return block.group(1)
    sentences = [s for s in re.split(_TITLES + r"[.!]\s+(?=[A-Z])", lines[-1].strip()) if s.strip()]
    last = sentences[-1] if sentences else ""
    if any(last.count(start) > last.count(end) for start, end in ("()", "{}")):
        return None
    whole = re.search(r"[.!)\]}$\d%°*`]$", last) is not None
    brief = len(lines) == 1 and len(text) < SHORT
    return of_sentence(last.rstrip(".")) if whole or brief or _CONCLUSION.search(last) else None


def of_sentence(sentence: str) -> str:
    """Return the value that a sentence states: its last formula, or the number after its last "is" or "="."""
    gave_up = giving_up(sentence)
    if gave_up:
        return gave_up
    formulas = [m for m in _MATH.finditer(sentence) if _is_formula(m)]
    statements = list(_STATES.finditer(sentence))
    if statements and (not formulas or statements[-1].end() >= formulas[-1].end()):
        return sentence[statements[-1].end() :]
    if formulas:
        return str(next(filter(None, formulas[-1].groups())))
    numbers = _NUMBER.findall(sentence)
    return numbers[-1] if numbers else sentence


def _is_formula(match: re.Match[str]) -> bool:
    """A pair of dollar signs may be two prices."""
    inside = match.group(1)
    return inside is None or not re.search(r"[A-Za-z]{3,} |\s$", re.sub(r"\\[a-z]+|\\text\{[^}]*\}", "", inside))


def giving_up(answer: str) -> str | None:
    """Return `GAVE_UP` for an answer that there is none, `UNDETERMINED` for one that it cannot be told, else `None`."""
    found = _GIVING_UP.search(answer)
    return found and (GAVE_UP if found[1] else UNDETERMINED)
