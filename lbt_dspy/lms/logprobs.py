"""Log-probabilities of a reply's tokens as the journal keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

Token = tuple[str, float, Mapping[str, float]]
"""Its text, its log-probability, and those of the alternatives by their text."""


def encode(tokens: Iterable[Token]) -> str:
    """Return tokens as text."""
    return json.dumps([[token, round(own, 4), {k: round(v, 4) for k, v in top.items()}] for token, own, top in tokens])


def decode(text: str) -> list[Token]:
    """Return the tokens of a text that `encode` wrote."""
    return [(token, own, top) for token, own, top in json.loads(text)]
