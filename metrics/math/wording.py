"""Words around an answer: which of them make it another answer, and which say only why it is one."""

from __future__ import annotations

import re

from lbt_dspy.metrics.math.variables import is_product

REACH = 60
"""Characters before a number in which words may change it."""


def _any(*phrases: str) -> str:
    return rf"\b(?:{'|'.join(phrases)})\b"


_NOT = r"n['\u2019]t\b"
_DASH = r"[-\u2013\u2014]"
_OPENS = r"[$\u00a3\u20ac\\(\[{*\s]*"
_COMPARED = _any(
    "(?:[a-z]+ )?than(?: or equal to)?|at (?:the )?(?:very )?(?:least|most|minimum|maximum)|minimum|maximum",
    "over|under|above|below|beyond|exceeds?|exceeding|up to|between|within|nearly|almost|close to|near|short of",
    "maybe|perhaps|possibly|either|neither|nor|or|any(?:thing)? but|except|apart from|divisible by|twice|thrice|half",
    "double|triple|quadruple|plus or minus|(?:divided|multiplied) by|times|plus|modulo|(?:square |cube )?root",
    r"(?:around|about|roughly|approximately|anywhere from|from) \S+ (?:to|through)",
)
_DENIED = (
    rf"(?:{_any('not|never|without|cannot|(?:might|may|could) (?:not )?be|can not')}|{_NOT})"
    r"(?: (?:be|equal(?: to)?|have|get))?"
)
_PART = (
    _any(
        "half|halves|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|percent|percentage|double",
        "square|cube|root|powers?|logarithms?|log|sine|cosine|tangent|reciprocal|inverse|opposite|negation|negative",
        "factorial|multiples?|factors?|divisors?|sum|product|quotient|difference|fraction|complement",
    )
    + r"(?: that)? (?:of|between)"
)
_ARTICLES = r"(?: (?:a|an|the|to|of|by|about))*(?: \S+ (?:and|or|to|by))?"
_BEFORE = re.compile(rf"(?:{_COMPARED}|{_DENIED}|{_PART}){_ARTICLES}{_OPENS}$", re.IGNORECASE)
_START = re.compile(
    rf"(?:(?:\w+[ -]){{0,3}}?(?:{_COMPARED}|{_PART})|(?:is |are |be |it )?{_DENIED}){_ARTICLES}"
    rf"\s+{_OPENS}[-+]?[\d(.\\]",
    re.IGNORECASE,
)
_DENIES = re.compile(
    rf"(?:(?:\b(?:not|never|cannot)|{_NOT})(?: be)?|\b(?:rather|other) than|\binstead of|\bexcept){_ARTICLES}{_OPENS}$",
    re.IGNORECASE,
)
_WORKS_OUT = re.compile(
    rf"(?:{_any('twice|thrice|half|double|triple|quadruple|root|(?:more|less|fewer|greater) than')}|{_PART})"
    rf"{_ARTICLES}{_OPENS}$",
    re.IGNORECASE,
)
_A_NUMBER = r"[-$\\({\s]*(?:\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|half)\b)"
_OR_SO = _any(
    "or (?:more|less|fewer|so|greater|higher|lower|thereabouts|above|below|over|under|older|longer)",
    "or (?:possibly|maybe|perhaps)",
    r"and (?:more|up|above|over|below)|at (?:the )?(?:very )?(?:least|most)(?! \d)|give or take|maybe|perhaps|possibly",
)
_AFTER = re.compile(
    rf"[\s$)}}\]*-]*(?:{_OR_SO}|"
    + _any(
        r"squared|cubed|factorial|raised|to the (?:power|\w+th)|dozens?|gross|tens|score|minimum|maximum",
        "divided|multiplied|(?:in|de)creased|reduced by|added|subtracted|doubled|tripled|halved",
        "and (?:a|one) (?:half|third|quarter)|and two thirds|and three quarters",
        "halves|thirds|fifths|sixths|sevenths|eighths|ninths|tenths|hundredths",
        "not|never|cannot|too|wrong|incorrect",
        "(?:is|are|was|were) (?:not|never|too|wrong|incorrect|impossible|false|invalid)",
    )
    + rf"|\b(?:is|are|was|were|can|could|would){_NOT}"
    rf"|{_any('times|plus|minus|over|mod|modulo|through|x|less|take away|(?:less|more|fewer|greater) than')}{_A_NUMBER}"
    rf"|(?:%|\bper ?cent) of{_A_NUMBER})",
    re.IGNORECASE,
)
_WORKED_ON = re.compile(
    rf"[\s$)}}\]*]*(?:{_any('squared|cubed|factorial|(?:divided|multiplied) by|and a half|or (?:more|less|fewer)')}"
    rf"|\b(?:times|plus|minus|over){_A_NUMBER})",
    re.IGNORECASE,
)
_LATER = re.compile(
    rf"{_OR_SO}|(?<!\\)\b(?:times|minus|plus|(?:divided|multiplied) by){_A_NUMBER}|[a-z] [-+*/] ?\d"
    r"|\b(?:is|are) (?:not (?:the|right|correct|possible|valid)|wrong|incorrect|impossible)\b",
    re.IGNORECASE,
)
_WITHDRAWN = re.compile(
    _any(
        r"wrong|incorrect|impossible|invalid|mistake|error|nonsense|wait|cannot|(?:can|is|was)n?['\u2019]t",
        "too (?:small|large|big|many|few|low|high)",
        "not (?:(?:the|a|an) )?(?:answer|correct|right|possible|valid|true|allowed|enough|solution|it|sure|certain)",
    ),
    re.IGNORECASE,
)
_OPEN = re.compile(
    _any(
        "or|nor|either|neither|maybe|perhaps|possibly|might|may|could|unless|but|however|though|although|otherwise|then",
        "actually|respectively|rather(?! than)|instead(?! of)|give or take|at least|at most|approximately",
        "plus|minus|else",
    ),
    re.IGNORECASE,
)
_STATED_AGAIN = re.compile(
    rf"(?:{_any('is|are|was|be|equals|gives?|giving|makes|making|leaves|leaving|and|another|other|second|also')}|=)"
    r"\s*(?:a total of )?[-$\\]*\d",
    re.IGNORECASE,
)
_BREAK = rf"(?:[,;:(]|\s{_DASH}+)"
_CAUSE = re.compile(rf"(?:,|\s{_DASH}+)\s*(?:who|whose|whom)\b|(?:\s|{_BREAK})+(?:since|because)\b")
_REASON = re.compile(
    rf"(?<=\S)(?:{_CAUSE.pattern}|\s\([^()][^()]+\)$|, (?:and )?not\b"
    rf"|\s*{_BREAK}\s*{_any('as|for|given|due to|owing to|with|which (?:has|have|had|scored|won|got)')})"
    r"|^[A-Z][a-z]+(?P<named> who)\b"
)
_VERDICT = re.compile(rf"(yes|no|true|false)\b\s*(?:[,;:.(]|\s{_DASH}+\s)", re.IGNORECASE)
_TAIL = re.compile(rf"\s*[,;](?!\d)\s*|\s+{_DASH}+\s+|\s*\((?=[^()]*[a-z]{{3}})")
_MAY_HAVE_TAIL = re.compile(rf"[,;(]| {_DASH}")
_FIRST_WORD = re.compile(r"a(?= [a-z]{2})|[a-zA-Z][a-z']+(?![\w(^])", re.IGNORECASE)
_NO_TAIL = re.compile(
    _any(
        "and|or|with (?:an? )?rem|rem|remainder|in base|base|mod|where|if|so|about|approx|approximately|rounded|which",
        "zero|one|two|three|four|five|six|seven|eight|nine|ten|half|negative|minus|plus|no|none|infinity|infinite\\w*",
        "sqrt|pi|sin|cos|tan|log|ln|inf|oo|exp|arc\\w*|am|pm",
    ),
    re.IGNORECASE,
)
_OTHER_WORDS = re.compile(
    _any(
        "not|never|no|non|nor|neither|cannot|hardly|barely|rarely|seldom|sometimes|without|either|or|and|but|then|than",
        "except|unless|until|if|only|partly|partially|almost|nearly|mostly|maybe|perhaps|possibly|might|may|could|wrong",
        "incorrect|rather|instead|impossible|unlikely|before|conditionally|false|untrue|far|half",
        "rul(?:e|ed|es|ing) out",
        "eliminat\\w+|exclud\\w+|reject\\w*|discard\\w*|dismiss\\w*",
    )
    + rf"|{_NOT}|\bnon",
    re.IGNORECASE,
)


def with_changes(text: str, start: int, end: int) -> str:
    """Return the piece of a sentence from `start` to `end`, with the words beside it that make it something else."""
    before = _BEFORE.search(text, max(0, start - REACH), start)
    after = _AFTER.match(text, end)
    return text[before.start() if before else start : after.end() if after else end]


def denies(before: str) -> bool:
    """Whether words that end before an answer say that it is none: "not", "rather than"."""
    return _DENIES.search(before[-REACH:]) is not None


def works_on(before: str, after: str) -> bool:
    """Whether words beside an answer that is marked as one make another number of it: "twice", "squared"."""
    return _WORKS_OUT.search(before[-REACH:]) is not None or _WORKED_ON.match(after) is not None


def is_changed(text: str) -> bool:
    """Whether a text begins with words that make the number or formula after them something else: "more than 72"."""
    return text[:1].isalpha() and _START.match(text) is not None


def changes(rest: str) -> bool:
    """Whether what follows a number makes it something else: "squared", "divided by 3", "people or more"."""
    return _AFTER.match(rest) is not None or _LATER.search(rest) is not None


def leaves_open(rest: str) -> bool:
    """Whether what follows an answer withdraws it, or says that there may be another."""
    return _OPEN.search(rest) is not None or is_withdrawn(rest)


def is_withdrawn(rest: str) -> bool:
    """Whether what follows an answer says that it is none."""
    return _WITHDRAWN.search(rest) is not None


def without_reason(text: str) -> str:
    """Return an answer in words without the reason that follows it: "no, since 7 is prime"."""
    verdict = _VERDICT.match(text)
    if verdict:
        return text if leaves_open(text[verdict.end() :]) else verdict[1]
    reason = _REASON.search(text)
    if reason is None or leaves_open(text[reason.end() :]):
        return text
    return text[: max(reason.start(), reason.start("named"))]


def reasoned_verdict(sentence: str) -> str | None:
    """Return the verdict of "no, since 7 is prime", `None` for another sentence."""
    verdict = _VERDICT.match(sentence)
    return verdict[1] if verdict and begins_with_cause(f" {sentence[verdict.end() :]}") else None


def without_cause(sentence: str) -> str:
    """Return a sentence that holds no number but in "because ..." or ", who ...", without that; others as they are."""
    cause = _CAUSE.search(sentence, 1)
    head = sentence[: cause.start()] if cause else ""
    return sentence if re.search(r"[\d\\$]|\b(?:is|are|was|so|only|just)$|^\W*\w*\W*$", head) else head


def begins_with_cause(rest: str) -> bool:
    """Whether this begins with "since", "because" or ", who"."""
    return _CAUSE.match(rest) is not None


def without_tail(text: str) -> str:
    """Return a value without the words that follow it: "72, in all", "72 (8 rows of 9)"; lists are left as they are."""
    if not _MAY_HAVE_TAIL.search(text):
        return text
    tails = (m for m in _TAIL.finditer(text) if m.start() and _is_outside(text[: m.start()]))
    tail = next((m for m in tails if _is_remark(m.group(), text[m.end() :])), None)
    return text if tail is None or _names_another(text[tail.end() :]) else text[: tail.start()]


def _is_remark(opening: str, rest: str) -> bool:
    """Whether this is no further value, or name of one: "as required", "8 rows of 9" in brackets."""
    word = _FIRST_WORD.match(rest)
    counts = "(" in opening and re.match(r"\d+ [a-z]{3}", rest)
    named = word and not is_product(word.group()) and re.search("[a-zA-Z]{3}", rest)  # "in s" is cut
    return not _NO_TAIL.match(rest) and bool(counts or named)


def _names_another(remark: str) -> bool:
    again = _STATED_AGAIN.search(remark) and not re.match(r"(?:since|because|as|for)\b", remark)
    return bool(again) or leaves_open(remark)


def _is_outside(before: str) -> bool:
    """Whether all brackets are closed."""
    return all(before.count(start) == before.count(end) for start, end in ("()", "{}", "«»"))


def is_denied(words: str) -> bool:
    """Whether words beside an answer in words deny it, or make another answer of it."""
    return _OTHER_WORDS.search(words) is not None
