"""Limits of a grade, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from lbt_dspy.errors import UserError, check_at_least

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one grade may use; the defaults fit HumanEval, MBPP and LeetCode.

    The memory that a hostile program can hold is at most `memory_mib * processes`.

    Raises:
        UserError: A limit is out of bounds.
    """

    wall_seconds: float = 10.0
    """Of the whole grade: all tests, or all cases. At least 0.1."""
    cpu_seconds: int = 10
    """Of each process. At least 1."""
    memory_mib: int = 1024
    """Address space of each process. At least 64."""
    processes: int = 8
    """Processes and threads that live at once, the program's first one included. At least 1."""
    file_mib: int = 16
    """Files that the program writes: each one; under bubblewrap, all together. At least 1."""
    output_mib: int = 8
    """What one call returns (its arguments, which may have been changed, included), or what one case prints.

    At least 1."""

    def __post_init__(self) -> None:
        wall = self.wall_seconds
        if isinstance(wall, bool) or not isinstance(wall, (int, float)) or not 0.1 <= wall <= 86_400:
            raise UserError(f"wall_seconds must be a number from 0.1 to 86400 but got {wall!r}; leave it out for 10")
        for name, bound in _BOUNDS.items():
            check_at_least(name, getattr(self, name), bound, f"leave it out for {getattr(type(self), name)}")

    def as_dict(self) -> dict[str, float]:
        """Return the limits as an order tells them."""
        return asdict(self)


_BOUNDS = {"cpu_seconds": 1, "memory_mib": 64, "processes": 1, "file_mib": 1, "output_mib": 1}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one test, or of one case."""

    passed: bool
    error: str | None = None
    """Why not, in at most some hundred characters. It may quote the test and the program: treat it as model output."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a grade."""

    outcomes: tuple[Outcome, ...]
    """One per test, in their order; empty when nothing was measured."""
    isolation: str
    """Which sandbox held the program, and what was in force there."""
    seconds: float
    """Wall time."""
    memory_mib: float | None = None
    """Largest resident memory of a process of the program; `None` where it is not known."""
    fault: str | None = None
    """Why nothing was measured: the sandbox broke down. Says nothing of the program."""

    @property
    def measured(self) -> bool:
        """Whether the sandbox held its part, so that the outcomes tell of the program."""
        return self.fault is None

    @property
    def passed(self) -> bool:
        """Whether the grade was measured and every test passed."""
        return self.measured and all(outcome.passed for outcome in self.outcomes)

    @property
    def failed(self) -> int | None:
        """Index of the first test that failed; `None` when there is none, or nothing was measured."""
        return next((n for n, outcome in enumerate(self.outcomes) if not outcome.passed), None)

    @property
    def share(self) -> float | None:
        """Share of the tests that passed, in [0, 1]: the V-score (S-score) of visible (hidden) tests.

        `None` when nothing was measured. (Ning et al. 2024, Can LLMs Learn by Teaching?, section 3.)
        """
        return sum(outcome.passed for outcome in self.outcomes) / len(self.outcomes) if self.measured else None

    @property
    def error(self) -> str | None:
        """The fault, else the error of the first test that failed, else `None`."""
        if self.fault is not None or self.failed is None:
            return self.fault
        return self.outcomes[self.failed].error


def case_of(case: object) -> tuple[str, str]:
    """Return what a script reads and must print.

    Args:
        case: A pair, or `{"stdin": ..., "stdout": ...}`.

    Raises:
        UserError: It is neither, or not of texts.
    """
    pair = (case.get("stdin"), case.get("stdout")) if isinstance(case, Mapping) and len(case) == 2 else case
    if isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str) for text in pair):
        return pair[0], pair[1]
    raise UserError(
        f"a case must be (standard input, standard output), or a mapping with stdin and stdout, but one is {case!r:.80}"
    )


def check_limits(limits: object) -> None:
    """Raise `UserError` unless these are limits."""
    if not isinstance(limits, Limits):
        raise UserError(f"limits must be Limits(...) but got {limits!r:.80}; e.g. Limits(wall_seconds=5)")
