"""How likely given answers are, asked and paid for as answers are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dspy.lm15 import Request

from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import Fault, NoReply


class Scorer(ModelEngine):
    """A model whose answers are its scores of given ones: the ledger counts, pays and journals them all the same.

    Two scorers of one engine are equal.

    Args:
        engine: Who scores; its `scores_texts` must be true.
    """

    def __init__(self, engine: ModelEngine) -> None:
        super().__init__(engine.name, engine.identity)
        self.in_process, self.secrets, self.addresses = engine.in_process, engine.secrets, engine.addresses
        self._engine = engine

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Score the assistant's message that ends the request."""
        return self._engine.score(request, faults)

    async def ask(self, request: Request, faults: Sequence[Fault] = (), choices: int = 1) -> list[Answer]:
        """Score as `answer` does."""
        return [await self._engine.ask_score(request, faults)]

    def answer_many(self, requests: Sequence[Request]) -> Iterator[Answer | NoReply]:
        """Score the assistant's messages that end the requests."""
        return self._engine.score_many(requests)

    def worst_cost(self, request: Request, choices: int = 1) -> float | None:
        """Return the engine's."""
        return self._engine.worst_cost(request, choices)

    def likely_cost(self, request: Request, output_tokens: int) -> float | None:
        """Return the engine's."""
        return self._engine.likely_cost(request, output_tokens)

    @property
    def priced(self) -> bool:
        """Whether the engine is."""
        return self._engine.priced

    def may_retry(self, faults: Sequence[Fault]) -> bool:
        """Return what the engine does."""
        return self._engine.may_retry(faults)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scorer) and other._engine is self._engine

    def __hash__(self) -> int:
        return hash((Scorer, self._engine))
