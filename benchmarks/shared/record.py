"""What results.json holds: the same for all methods, made in one place. docs/results.md has the names."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lbt_dspy.intervals import Estimate
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.journal import Journal

PACKAGES = ("lbt_dspy", "dspy", "litellm", "scikit-learn", "numpy")


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A row against a baseline: the difference, paired, with its 95% interval."""

    baseline: str
    diff: float
    ci95: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Return what results.json has of it."""
        return {"baseline": self.baseline, "diff": self.diff, "ci95": list(self.ci95)}


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """What one row of the table says."""

    name: str
    metric: str
    value: float
    ci95: tuple[float, float]
    """95% interval."""
    n: int
    """Test examples, or problems."""
    coverage: float
    """Measured share of what was asked, in [0, 1]."""
    by_seed: Sequence[float]
    vs: Sequence[Versus]
    calls: Mapping[str, int]
    """That the row needs by itself, by role."""
    schedule: str
    more: Mapping[str, Any] = field(default_factory=dict)
    """What a method says beside that."""

    def as_dict(self) -> dict[str, Any]:
        """Return what results.json has of it."""
        return {
            "name": self.name, "metric": self.metric, "value": self.value, "ci95": list(self.ci95), "n": self.n,
            "coverage": self.coverage, "by_seed": list(self.by_seed), "vs": [one.as_dict() for one in self.vs],
            "calls": dict(self.calls), "schedule": self.schedule, **self.more,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """The outcome of a run."""

    run: Any
    """The settings: a record with task, method, seeds, teacher and students."""
    settings: Mapping[str, Any]
    """What is told of them, and of the data."""
    rows: Sequence[ResultRow]
    sections: Mapping[str, Any]
    """What a method says beside its rows."""
    journal: Journal
    """Of all calls."""
    seconds: float
    packages: Sequence[str] = ()
    """Whose versions are told beside those that decide every result."""

    def as_dict(self) -> dict[str, Any]:
        """Return the content of results.json; identical for identical settings but for `seconds` and `versions`."""
        run = self.run
        return {
            "task": run.task,
            "method": run.method,
            "seeds": list(run.seeds),
            "models": {"teacher": run.teacher, "students": list(run.students)},
            "versions": versions(*self.packages),
            "settings": dict(self.settings),
            "results": [row.as_dict() for row in self.rows],
            **self.sections,
            **calls_made(self.journal),
            "seconds": round(self.seconds, 1),
        }


def versus(name: str, differences: Mapping[tuple[str, str], Estimate], baselines: Sequence[str]) -> list[Versus]:
    """Return a row's differences from the baselines that there are, itself left out."""
    pairs = [(base, differences[name, base]) for base in baselines if base != name and (name, base) in differences]
    return [Versus(baseline=base, diff=d.value, ci95=(d.low, d.high)) for base, d in pairs]


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the packages that decide results, and of some more."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in (*PACKAGES, *more)},
    }


def calls_made(journal: Journal) -> dict[str, Any]:
    """Return the calls of all recorded replies, by role and student, and what they cost."""
    calls = journal.calls()
    return {
        "calls": {
            "teacher": sum(n for (role, _), n in calls.items() if role == "teacher"),
            "students": {lm: n for (role, lm), n in sorted(calls.items()) if role == "students"},
        },
        "cost_usd": None if journal.unpriced() else journal.spent(),
    }


def calls_by_role(account: Account) -> dict[str, int]:
    """Return the calls of an account by role."""
    calls = {"teacher": 0, "students": 0}
    for (role, _), n in account.calls.items():
        calls[role] += n
    return calls
