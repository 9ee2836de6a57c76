"""One exception tree. `exit_code` is what the command line returns for each."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class LbTError(Exception):
    """Base of every error that lbt_dspy raises on purpose."""

    exit_code = 1


class UserError(LbTError, ValueError):
    """A wrong option, file or value. The message says what, which value, and what would work."""

    exit_code = 2


class ModelRejectedError(UserError):
    """A provider refused every call to a model for a reason that asking again cannot mend (key, name, parameter)."""


class ModelUnreachableError(LbTError):
    """No call to a model has succeeded and the failures look like an absent or broken server."""


class BudgetSpentError(LbTError):
    """The next call could exceed the budget. Nothing paid for is lost: the journal can be resumed."""

    exit_code = 3


class StoppedError(LbTError):
    """The run was stopped (by an error elsewhere, or Ctrl-C) before this call was answered."""


class NoAnswerError(LbTError):
    """A program came to no answer in any of its samples."""

    def __init__(self, message: str, *, measured: bool) -> None:
        super().__init__(message)
        self.measured = measured
        """Whether its models answered every call, so that no answer is a wrong answer; else nothing is known of it."""


class JournalError(LbTError):
    """The journal could not be written or read, as on a full disk; what it held before is kept."""


class StorageLostError(LbTError):
    """The storage of a study that was there cannot be reached any more; its finished trials are kept."""


class NoCandidateError(UserError):
    """The calls of a search ended before one of its candidates was evaluated."""


class CallFailedError(LbTError):
    """One call got no usable reply within its retries: the sitting is not measured (`None`), never 0."""


def check_at_least(name: str, value: int, bound: int, way_out: str) -> None:
    """Raise `UserError` unless `value` is a whole number of at least `bound`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < bound:
        raise UserError(f"{name} must be a whole number of at least {bound} but got {value!r}; {way_out}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `UserError` unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(f"{name} must be one of {', '.join(choices)} but got {value!r}{nearest_hint(value, choices)}")


def nearest_hint(value: object, known: Sequence[str]) -> str:
    """Return a question whether the nearest known name was meant; empty where none is near."""
    near = difflib.get_close_matches(str(value), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
