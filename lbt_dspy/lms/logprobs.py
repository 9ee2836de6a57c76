"""Log-probabilities of a reply's tokens as the journal keeps them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Token = tuple[str, float, Mapping[str, float]]
"""Its text, its log-probability, and those of the alternatives by their text."""


def encode(tokens: Iterable[Token]) -> str:
    """Return tokens as text."""
    return json.dumps([[token, round(own, 4), {k: round(v, 4) for k, v in top.items()}] for token, own, top in tokens])


def decode(text: str) -> list[Token]:
    """Return the tokens of a text that `encode` wrote."""
    return [(token, own, top) for token, own, top in json.loads(text)]


def given_tokens(prompt: Sequence[Mapping[Any, Mapping[str, Any]] | None], text: str) -> list[Token]:
    """Return the tokens of a text that ends a prompt; none where the prompt does not end with it.

    White space and letters beyond ASCII are left aside in the search: chat templates trim the former, and tokens hold
    parts of the latter.

    Args:
        prompt: vLLM's `prompt_logprobs`: for each token of the prompt a mapping of its number to `logprob` and
            `decoded_token`, first its own; `None` for the first token.
        text: What the prompt should end with.
    """
    wanted, found = _ascii(text), ""
    tokens: list[Token] = []
    for listed in reversed(prompt):
        if listed is None or len(found) >= len(wanted):
            break
        own = next(iter(listed.values()))
        token = own.get("decoded_token") or ""
        tokens.append((token, float(own["logprob"]), {}))
        found = _ascii(token) + found
    return tokens[::-1] if wanted and found.endswith(wanted) else []


def _ascii(text: str) -> str:
    return re.sub(r"[^!-~]", "", text)
