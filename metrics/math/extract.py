"""The final answer that a text of a model states: the last statement counts, a loop or a cut before it is no answer."""

from __future__ import annotations

import re
from itertools import pairwise

from lbt_dspy.metrics.math import wording
from lbt_dspy.metrics.math.dates import date_in
from lbt_dspy.metrics.math.signs import spelled_out
from lbt_dspy.metrics.math.wrapping import unwrapped

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
_NUMBER = re.compile(
    r"(?:-|\bnegative |(?<!\d )\bminus )?[$£€]?(?:\d+ (?=\d+/\d))?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?"
    r"(?:\s*[\u00d7*]\s*10)?"
    r"(?:\s*\^\s*(?:\{-?\d+\}|-?\d+(?!\w)))?(?:\s*%)?|-?\.\d+"
)
_NOT_SO = re.compile(
    r"(?:\b(?:not|never)|n['\u2019]t)\s+(?:true|correct|right|the case|say|claim|think|believe|mean)\b[^.\n]*$"
    r"|\b(?:false|wrong|incorrect|untrue|impossible|unlikely|doubtful)\s+(?:that|to)\b[^.\n]*$"
    r"|\b(?:false|wrong|incorrect)\s+$",
    re.IGNORECASE,
)
_ONE_OF_TWO = re.compile(
    r"([^\n.]{1,60}?),?\s+(or|and)\s+(?:else |maybe |perhaps |possibly )?(?:\w+ ){0,2}", re.IGNORECASE
)
_NAMED = re.compile(r"(\\?[a-zA-Z]+(?:_\{?\w+\}?)?)\s*=\s*[$({\[\\\s]*$")
_SUBJECT = r"(?:(?:also|else|maybe|perhaps|possibly)\s+)?(?:[\w ]{0,20}?(?:=|\bis))?[\s$]*"
_JOINT = re.compile(
    rf"[ \t$]*|[\s$]*(?:[,;]?\s*(?:or|and)\b|[,;])[\s$]*{_SUBJECT}"
    r"|[^.=\n]{1,40}?\b(?:or|and) (?!so |then |thus |hence |therefore )(?:[\w ]{0,30}(?:=|\bis))?[\s$]*"
)
_LAYOUT = re.compile(r"\\(?:text|mbox|textbf|mathrm)\s*\{([^{}]*)\}|\\(?:quad|qquad|[()\[\] ,;])()|[*_](?=[*_\s])()")
_TEXT = re.compile(r"\\(?:text|mbox|textbf|textrm|mathrm)\s*\{([^{}]*)\}")
_LABELLED = re.compile(r"[A-Z][a-z]+ \d+")
_DETERMINER = re.compile(r"(?:the|an?|his|her|their|our|its|my|your|if|for|in|when)\b", re.IGNORECASE)
_AND = re.compile(r"\s*(?:,|,?\s*\b(?:and|or)\b)\s*")
_EQUATION = re.compile(r"[$\\(\[\s]*(?![a-zA-Z]\s*=)[^=]+=")
_CHOICE = re.compile(r"\b([a-zA-Z])\s*=\s*[^=.]{1,40}?,?\s(?:or|and)\s+\1\s*=[^=]*$")
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
    text = unwrapped(spelled_out(text[-LONGEST_TEXT:]))
    text = text.replace("\x00", "").replace("\x08oxed", "\\boxed").replace("\x0crac", "\\frac").strip()
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
        answer = _boxed_together(text, boxes)
        return GAVE_UP if "NO_SOLUTION" in text[boxes[-1].end() :] else answer
    for place, statement in enumerate(reversed(statements[-TRIED:])):
        rest = text[statement.end() :]
        if place == 0 and "NO_SOLUTION" in rest:
            return GAVE_UP
        answer = _statement(rest)
        if answer:
            earlier = statements[-place - 2] if place + 2 <= len(statements) else None
            return _in_context(text[: statement.start()], answer, earlier)
        if boxes and boxes[-1].start() > (statements[-place - 2].start() if place + 2 <= len(statements) else -1):
            return _boxed_together(text, boxes)
    if not statements:
        return None
    before = text[: statements[0].start()]
    return _concluded(before[:-SHORT] + _LEADING_IN.sub("", before[-SHORT:]))


def _in_context(text: str, answer: str, before: re.Match[str] | None) -> str:
    """Return the answer of a statement, with what stands before it in its sentence: that it is none, or another one."""
    if _NOT_SO.search(text[-SHORT:]):
        return f"not {answer}"
    other = before and _ONE_OF_TWO.fullmatch(text[before.end() :][-SHORT:])
    return f"{other[1].strip()} {other[2]} {answer}" if other else answer


def _boxed_together(text: str, boxes: list[re.Match[str]]) -> str:
    """Return what the last box holds, together with those that its sentence joins to it."""
    meant = [box for box in boxes[-TRIED:] if not wording.denies(text[: box.start()])]
    if not meant:
        return f"not {_boxed(text, boxes[-1])}"
    joined = meant[-1:]
    for before, after in reversed(list(pairwise(meant))):
        between = text[_end_of_box(text, before.end()) + 1 : after.start()]
        if not _JOINT.fullmatch(_LAYOUT.sub(r"\1", between)):
            break
        joined.insert(0, before)
    answers = list(dict.fromkeys(_boxed(text, box) for box in joined))
    names = [_NAMED.search(text[max(0, box.start() - SHORT) : box.start()]) for box in joined]
    if len(answers) == len(names) > 1 and all(names):
        answers = [f"{name[1]} = {answer}" for name, answer in zip(names, answers, strict=True) if name]
    changed = wording.works_on(text[: joined[0].start()], text[_end_of_box(text, joined[-1].end()) + 1 :])
    return ("something of " if changed else "") + ", ".join(answers)


def _boxed(text: str, box: re.Match[str]) -> str:
    """Return what the box holds, and the minus sign that some models leave before it."""
    start = box.end()
    if text[start - 1] != "{":
        bare = re.match(r"-?[\d.,]*\d|\\\w+(?:\{[^{}]*\})*", text[start:])
        return bare.group() if bare else ""
    end = _end_of_box(text, start)
    minus = re.search(r"(?:[=$(\[]|\bis|^)\s*-\s*$", text[max(0, box.start() - SHORT) : box.start()])
    return ("-" if minus else "") + _inside(text[start:end])


def _inside(box: str) -> str:
    statement = _STATEMENT.search(_TEXT.sub(r"\1", box))
    if statement:
        return _statement(statement.string[statement.end() :])
    if _WORDY.match(box):
        return _worded(box)
    words = _TEXT.sub(r"\1", box)
    head = wording.without_reason(words)
    return box if head == words or re.search(r"[\d\\=]", head) else head


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
    if not _WORDY.match(first) and not first.endswith("?"):
        return first
    rephrases = first.endswith("?") or (len(first.split()) > 3 and not re.search(r"\d|\\", first))
    if rephrases and len(rest) > len(first) + 1 and wording.without_reason(first) == first:
        return _concluded(rest[len(first) :].strip()) or first
    return _worded(first)


def _worded(statement: str) -> str:
    """Return the answer of a statement that begins with a word: a name, a verdict, a date, or the value it holds."""
    if _LABELLED.fullmatch(statement):
        return statement
    head = wording.without_reason(statement)
    named = head != statement and not re.search(r"[\d\\=]", head)
    if named and (wording.begins_with_cause(statement[len(head) :]) or not _DETERMINER.match(head)):
        return head
    return of_sentence(statement)


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
    verdict = giving_up(sentence) or wording.reasoned_verdict(sentence)
    if verdict:
        return verdict
    sentence = wording.without_cause(sentence)
    formulas = [m for m in _MATH.finditer(sentence) if _is_formula(m)]
    choice = _CHOICE.search(sentence.replace("$", "")) if " or " in sentence or " and " in sentence else None
    if choice:
        return choice.group()
    statements = list(_STATES.finditer(sentence))
    if statements and (not formulas or statements[-1].end() >= formulas[-1].end()):
        return wording.with_changes(sentence, statements[-1].end(), len(sentence))
    if formulas:
        return _of_formulas(sentence, formulas)
    numbers = list(_NUMBER.finditer(sentence))
    if not numbers:
        return sentence
    return date_in(sentence, numbers[-1].start()) or wording.with_changes(sentence, *numbers[-1].span())


def _of_formulas(sentence: str, formulas: list[re.Match[str]]) -> str:
    """Return the last formula, with those that "and" or "or" joins to it, and with the words that change it."""
    first = formulas[-1]
    for before, after in reversed(list(pairwise(formulas))):
        between = sentence[before.end() : after.start()]
        if after is not first or not _AND.fullmatch(between) or _EQUATION.match(before.group()):
            break
        first = before
    changed = wording.with_changes(sentence, first.start(), formulas[-1].end())
    if changed != sentence[first.start() : formulas[-1].end()]:
        return changed
    return ", ".join(str(next(filter(None, m.groups()))) for m in formulas[formulas.index(first) :])


def _is_formula(match: re.Match[str]) -> bool:
    """A pair of dollar signs may be two prices."""
    inside = match.group(1)
    return inside is None or not re.search(r"[A-Za-z]{3,} |\s$", re.sub(r"\\[a-z]+|\\text\{[^}]*\}", "", inside))


def giving_up(answer: str) -> str | None:
    """Return `GAVE_UP` for an answer that there is none, `UNDETERMINED` for one that it cannot be told, else `None`."""
    found = _GIVING_UP.search(answer)
    return found and (GAVE_UP if found[1] else UNDETERMINED)
