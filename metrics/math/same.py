"""Ways in which an answer may differ from the reference, where its key does, and yet be right."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lbt_dspy.metrics.math.key import key_of
from lbt_dspy.metrics.math.normal import number, plain
from lbt_dspy.metrics.math.options import OPTIONS, options_in
from lbt_dspy.metrics.math.wording import is_denied
from lbt_dspy.metrics.math.words import other_units, scaled, time_of_day


@dataclass(frozen=True, kw_only=True)
class Side:
    """A reference or an answer."""

    text: str
    """As it is written."""
    plain: str
    key: str


def side(text: str, key: str) -> Side:
    """Return a text with its key and its plain form."""
    return Side(text=text, plain=plain(text), key=key)


def same(gold: Side, answer: Side) -> bool:
    """Whether the answer is right though its key is another: it may say more than the reference, or as much."""
    return any(rule(gold, answer) for rule in _SAYS_MORE) or any(
        rule(gold, answer) or rule(answer, gold) for rule in _EITHER_WAY
    )


def contradict(gold: Side, answer: Side) -> bool:
    """Whether two answers of one key have units of one kind that differ, which a key leaves out."""
    return other_units(_with_dollars(gold), _with_dollars(answer))


def _with_dollars(side: Side) -> str:
    return f"{side.plain} dollars" if "\\$" in side.text else side.plain


def _without_base(gold: Side, answer: Side) -> bool:
    return re.fullmatch(r"\w+_\d+", gold.key) is not None and gold.key.split("_")[0] == answer.key


def _as_percentage(gold: Side, answer: Side) -> bool:
    """50% is 1/2; an answer that gives both has the key of either."""
    value, share = number(answer.key), number(gold.key)
    if value is None or share is None or "%" not in answer.plain or "%" in gold.plain:
        return False
    both = number(answer.plain.rstrip("% ")) is None
    return value == 100 * share or (both and 100 * value == share)


def _without_scale(gold: Side, answer: Side) -> bool:
    """The word "million" after a number may be the unit that is asked for."""
    scale = scaled(gold.plain)
    return scale is not None and str(scale[0]) == answer.key


def _at_some_time(gold: Side, answer: Side) -> bool:
    """A time may lack "am" or "pm", and may be a ratio."""
    time, other = time_of_day(gold.plain), time_of_day(answer.plain)
    if time is None:
        return False
    if other is None:
        return answer.key in (time.replace(":00 ", " ").split(" ")[0], _quotient(time))
    return time.split(" ")[0] == other.split(" ")[0] and not time[-1] == other[-1] == "m"


def _quotient(time: str) -> str | None:
    value = number(time.replace(":", "/"))
    return None if value is None else str(value)


def _unbracketed(gold: Side, answer: Side) -> bool:
    """The coordinates of a point may stand without their brackets."""
    bare = "," in answer.plain and "=" not in answer.plain and not answer.key.startswith("(")
    return bare and gold.key.startswith("(") and gold.key.endswith(")") and key_of(f"({answer.plain})") == gold.key


def _with_unit(gold: Side, answer: Side) -> bool:
    """One letter after a number may be a unit or a variable; where the reference is a number it is a unit."""
    unit = re.fullmatch(r"(.*\d)\s*[gmshLltNJWVCFK]", answer.plain)
    return unit is not None and number(gold.key) is not None and number(unit[1]) == number(gold.key)


def _same_words(gold: Side, answer: Side) -> bool:
    """A name or word may stand first or last in a sentence that does not deny it, or name another."""
    if not gold.key.startswith('"'):
        return False
    word, sentence = gold.key.strip('"'), " ".join(answer.plain.casefold().split())
    found = re.match(rf"{re.escape(word)}(?!\w)", sentence) or re.search(rf"(?<![\w-]){re.escape(word)}\W*$", sentence)
    if found is None or (answer.key.startswith("date ") and not word.endswith("day")):
        return False
    before, after = sentence[: found.start()], sentence[found.end() :]
    listed = re.match(r",\s*[\w-]+(?:,|$)", after) or re.search(
        r"(?<!so)(?<!thus)(?<!therefore)(?<!hence),\s*$", before
    )
    return not listed and not is_denied(f"{before} {after}")


def _same_letter(gold: Side, answer: Side) -> bool:
    """An option may be a small letter, or stand in brackets at the end."""
    if not re.fullmatch(rf"\([{OPTIONS}]\)", gold.key):
        return False
    text = re.sub(rf"\bnot (?:option )?\([{OPTIONS}]\),?(?: but\b)?", "", answer.plain)
    named = options_in(text) == [gold.key] and text.endswith(gold.key)
    return answer.plain.strip("()") == gold.key[1].lower() or (named and not is_denied(text))


def _same_day(gold: Side, answer: Side) -> bool:
    """A date may have its year where the reference has none."""
    return gold.key.startswith("date -") and answer.key.startswith("date ") and answer.key.endswith(gold.key[5:])


def _labelled(gold: Side, answer: Side) -> bool:
    """A number may have a word before it: "Day 5"."""
    label = re.fullmatch(r"[A-Z][a-z]+ (\d+)", answer.plain)
    return label is not None and answer.key.startswith('"') and label[1] == gold.key and not is_denied(answer.plain)


def _in_lakhs(gold: Side, answer: Side) -> bool:
    """12,50,000 is 1,250,000 in India, and may be a list of three."""
    grouped = _LAKHS.search(answer.plain)
    return (
        grouped is not None
        and number(gold.key) is not None
        and key_of(_LAKHS.sub(_ungrouped, answer.plain)) == gold.key
    )


def _ungrouped(grouped: re.Match[str]) -> str:
    return grouped.group().replace(",", "")


_LAKHS = re.compile(r"(?<![\d,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,]*\d)")
_SAYS_MORE = (_with_unit, _same_words, _same_letter, _same_day, _labelled)
_EITHER_WAY = (_in_lakhs, _without_base, _as_percentage, _without_scale, _at_some_time, _unbracketed)
