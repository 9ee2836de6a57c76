"""How likely did a model think the right label, whatever it answered? Read from the log-probabilities of its reply.

A mark is 0 or 1; a likelihood also says how sure the model was, which tells exemplar sets apart with fewer questions
(log-likelihood scoring of prompts: Pryzant et al., arXiv 2305.03495).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence

from lbt_dspy.lms.logprobs import decode

FLOOR = math.log(1e-3)
"""Nothing is thought less likely than this: one surprise must not outweigh a hundred answers."""
TOP = 5
"""Alternatives asked for per token."""
ASK = {"logprobs": True, "top_logprobs": TOP}
"""What a request must say."""


def label_probabilities(logprobs: str, answer: str, labels: Sequence[str]) -> dict[str, float] | None:
    """Return the probability of each label; together at most 1.

    They are read at the token where the answered label begins: alternatives there that begin one label only count for
    it. A label that is not among them has at most what the listed ones leave over.

    Args:
        logprobs: Of the reply, as the journal keeps them.
        answer: The label that the reply holds.
        labels: All labels.

    Returns:
        `None` when the answer is not found in the tokens.
    """
    tokens = decode(logprobs)
    text = "".join(token for token, _, _ in tokens)
    start = _last(answer.casefold(), text.casefold())
    if start < 0:
        return None
    position = 0
    for token, own, top in tokens:
        position += len(token)
        if position > start:
            return _at(token, {**top, token: own}, answer, tuple(labels))
    return None


def log_likelihood(probabilities: Mapping[str, float], label: str) -> float:
    """Return the log-probability of a label, in [`FLOOR`, 0]."""
    likely = probabilities.get(label, 0.0)
    return max(FLOOR, math.log(min(1.0, likely))) if likely > 0 else FLOOR


def _last(answer: str, text: str) -> int:
    """Return where the answer last stands by itself or, where it never does, within a word; -1: nowhere."""
    place = last = text.rfind(answer)
    while answer and place >= 0 and not _alone(text, place, place + len(answer)):
        place = text.rfind(answer, 0, place + len(answer) - 1)
    return place if place >= 0 else last


def _alone(text: str, start: int, end: int) -> bool:
    """Return whether no letter, digit or underscore stands at either side of a part of a text."""
    return not re.match(r"\w", text[start - 1 : start]) and not re.match(r"\w", text[end : end + 1])


def _at(token: str, listed: Mapping[str, float], answer: str, labels: tuple[str, ...]) -> dict[str, float]:
    mass = dict.fromkeys(labels, 0.0)
    for text, logprob in listed.items():
        begun = _begun(text, labels)
        owner = begun[0] if len(begun) == 1 else answer if text == token else None
        if owner in mass:
            mass[owner] += math.exp(logprob)
    left = max(0.0, 1 - sum(math.exp(logprob) for logprob in listed.values()))
    unlisted = [label for label, share in mass.items() if not share]
    for label in unlisted:
        mass[label] = min(left / len(unlisted), math.exp(min(listed.values())))
    total = max(1.0, sum(mass.values()))
    return {label: share / total for label, share in mass.items()}


@functools.lru_cache(maxsize=4096)
def _begun(token: str, labels: tuple[str, ...]) -> list[str]:
    """Return the labels that a token begins."""
    return [label for label in labels if _begins(token, label)]


def _begins(token: str, label: str) -> bool:
    plain = token.strip(" \t\r\n\"'`").casefold()
    return bool(plain) and (label.casefold().startswith(plain) or plain.startswith(label.casefold()))
