"""Who pays: the ledger that was given, or one of its own in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbt_dspy.errors import UserError
from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger


class OwnLedger:
    """Gives the ledger; copies of a program share it, pickles and saved programs leave it out.

    Args:
        given: The ledger to use; `None`: one in memory, made at the first use, and made anew on the same journal after
            an error or Ctrl-C has stopped it.
        budget: Of the one in memory; not beside `given`.

    Raises:
        UserError: A ledger and a budget are given.
    """

    def __init__(self, given: Ledger | None, budget: Budget | None) -> None:
        if given is not None and budget is not None:
            raise UserError("budget does not go with ledger, which has one of its own: Ledger(journal, budget)")
        self._given = given
        self._budget = budget
        self._own: Ledger | None = None
        self._lock = threading.Lock()

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                self._own = Ledger(Journal(), self._budget)
            elif self._own.stopped:
                self._own = Ledger(self._own.journal, self._budget)
            return self._own

    def __deepcopy__(self, memo: dict[int, Any]) -> OwnLedger:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnLedger, (None, None)


@dataclass(frozen=True, kw_only=True, eq=False)
class PaidBy:
    """Who pays for all calls, and where models that are given by name are looked up.

    Raises:
        UserError: A ledger and a budget are given.
    """

    ledger: Ledger | None = None
    """Pays, with journal, budget and workers; `None`: one in memory."""
    budget: Budget | None = None
    """Limits all calls of what is made with these options, over its life; not beside `ledger`."""
    lm_config: str | Path | None = None
    """A LiteLLM YAML for students that are given by name."""

    def __post_init__(self) -> None:
        OwnLedger(self.ledger, self.budget)
