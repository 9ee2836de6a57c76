"""Ask a signature many times through the ledger: the teacher's own writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from lbt_dspy.exam.render import Renderer, UnreadableError
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.calls import open_settings
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import request_seed


def ask_signature(
    signature: type[dspy.Signature],
    inputs: Sequence[Mapping[str, Any]],
    *,
    lm: dspy.LM,
    ledger: Ledger,
    adapter: dspy.Adapter,
    account: Account,
    config: Mapping[str, Any],
    seeds: Sequence[Sequence[object]],
) -> list[dict[str, Any] | None]:
    """Return the output fields for each of `inputs`; `None` where there was no reply or it could not be read.

    Args:
        signature: What is asked.
        inputs: One mapping of input fields per call.
        lm: Who is asked.
        ledger: Pays for the calls.
        adapter: Renders and parses.
        account: Where the calls are counted, as the teacher's.
        config: Sampling settings that the LM leaves open.
        seeds: What seeds each call, e.g. `(seed, "reflect", round, set, group)`.
    """
    renderer = Renderer(signature, adapter)
    engine = engine_of(lm)
    calls = []
    for values, parts in zip(inputs, seeds, strict=True):
        number = request_seed(0, *parts)
        settings = open_settings(lm, engine, config, number)
        calls.append(renderer.prefix((), lm, engine, settings, number).call(values))
    outputs: list[dict[str, Any] | None] = []
    for reply in ledger.ask(calls, role="teacher", account=account):
        try:
            outputs.append(None if reply.text is None else renderer.parse(reply.text))
        except UnreadableError:
            outputs.append(None)
    return outputs
