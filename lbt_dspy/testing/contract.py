"""What every optimiser must hold: one suite for all, for ours and for those of others.

With pytest, a test for each check:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_optimiser(check, tmp_path):
        check(case, tmp_path)
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.errors import LbTError
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger


class ContractError(LbTError, AssertionError):
    """An optimiser does not hold what all must."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """An optimiser, and what it is tried on; small, since it is compiled a dozen times."""

    teleprompter: Callable[[Ledger, Path], Any]
    """Makes the optimiser, with a ledger that pays for it and a folder of its own."""
    program: Callable[[], dspy.Module]
    """Makes the program that is compiled, its LM set. It and exam students must be found by their names, since pickles
    have no LMs: `embedded/...` are, and scripted ones are not."""
    trainset: Sequence[dspy.Example]
    asked: Mapping[str, Any]
    """What the compiled program is called with."""
    loads_compiled: bool = False
    """Whether a saved state is loaded into a compiled program, not into the plain one."""


def check_teleprompter(case: Case, folder: Path) -> None:
    """Run all checks.

    Args:
        case: The optimiser.
        folder: For what they write.

    Raises:
        ContractError: One does not hold.
    """
    for check in CHECKS:
        place = folder / check.__name__
        place.mkdir(parents=True)
        check(case, place)


def same_seed_same_program(case: Case, folder: Path) -> None:
    """Two runs with one seed give the same program and answer."""
    _equal(_compiled(case, folder / "a"), _compiled(case, folder / "b"), "two runs with one seed")


def the_given_program_is_untouched(case: Case, folder: Path) -> None:
    """Compiling changes nothing of the program that was given."""
    program = case.program()
    before = _state(program)
    with _ledger(folder) as ledger:
        compiled = case.teleprompter(ledger, folder).compile(program, trainset=list(case.trainset))
    if compiled is program:
        raise ContractError("compile gives the very program that it was given, not a copy")
    if _state(program) != before:
        raise ContractError("compile has changed the program that it was given")


def saves_and_loads(case: Case, folder: Path) -> None:
    """A saved state, loaded, answers the same."""
    with _ledger(folder) as ledger:
        compiled = _compile(case, ledger, folder)
        compiled.save(folder / "state.json")
        fresh = _compile(case, ledger, folder / "again") if case.loads_compiled else case.program()
        fresh.load(folder / "state.json", allow_unsafe_lm_state=True)
        _equal(_answer(compiled, case), _answer(fresh, case), "a program before and after it was saved")


def works_with_1_and_16_workers(case: Case, folder: Path) -> None:
    """The number of requests in flight changes no result."""
    one, sixteen = (_compiled(case, folder / str(workers), workers=workers) for workers in (1, 16))
    _equal(one, sixteen, "runs with 1 and with 16 workers")


def resumes_without_a_call(case: Case, folder: Path) -> None:
    """A second run on the journal of the first asks nothing, and gives the same."""
    folder.mkdir(parents=True, exist_ok=True)
    outcomes, sent = [], []
    for _ in range(2):
        with _ledger(folder, journal=folder / "journal.sqlite") as ledger:
            compiled = _compile(case, ledger, folder / "made")
            outcomes.append((_state(compiled), _answer(compiled, case)))
            sent.append(ledger.journal.sent())
    _equal(outcomes[0], outcomes[1], "a run and its repetition on the same journal")
    if sent[0] != sent[1]:
        raise ContractError(f"the repetition on the same journal sent {sent[1] - sent[0]} requests; it must send none")


def pickles(case: Case, folder: Path) -> None:
    """A compiled program, saved as a whole without its LM, which is set again, answers the same."""
    with _ledger(folder) as ledger:
        compiled = _compile(case, ledger, folder)
        expected = _answer(compiled, case)
    lms = {name: predictor.lm for name, predictor in compiled.named_predictors()}
    compiled.set_lm(None)
    compiled.save(folder / "whole", save_program=True)
    loaded = dspy.load(folder / "whole", allow_pickle=True)
    for name, predictor in loaded.named_predictors():
        predictor.lm = lms[name]
    _equal(expected, _answer(loaded, case), "a program before and after a pickle")


def a_deepcopy_stands_alone(case: Case, folder: Path) -> None:
    """A copy answers the same, and what is done to it does not reach the original."""
    with _ledger(folder) as ledger:
        compiled = _compile(case, ledger, folder)
        twin, before = copy.deepcopy(compiled), _state(compiled)
        _equal(_answer(compiled, case), _answer(twin, case), "a program and its copy")
        for predictor in twin.predictors():
            predictor.demos = []
        if _state(compiled) != before:
            raise ContractError("a change of a copy's demonstrations has changed the original")


CHECKS: tuple[Callable[[Case, Path], None], ...] = (
    same_seed_same_program,
    the_given_program_is_untouched,
    saves_and_loads,
    works_with_1_and_16_workers,
    resumes_without_a_call,
    pickles,
    a_deepcopy_stands_alone,
)


@contextlib.contextmanager
def _ledger(folder: Path, *, workers: int = 4, journal: Path | None = None) -> Iterator[Ledger]:
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(Ledger(Journal(journal), workers=workers)) as ledger:
        yield ledger


def _compile(case: Case, ledger: Ledger, folder: Path) -> dspy.Module:
    folder.mkdir(parents=True, exist_ok=True)
    return case.teleprompter(ledger, folder).compile(case.program(), trainset=list(case.trainset))


def _compiled(case: Case, folder: Path, *, workers: int = 4) -> tuple[Any, Any]:
    """Return the state and the answer of a compiled program."""
    with _ledger(folder, workers=workers) as ledger:
        compiled = _compile(case, ledger, folder)
        return _state(compiled), _answer(compiled, case)


def _state(program: dspy.Module) -> str:
    return repr([(name, sorted(p.dump_state().items(), key=str)) for name, p in program.named_predictors()])


def _answer(program: dspy.Module, case: Case) -> str:
    return repr(sorted(program(**case.asked).items()))


def _equal(one: object, other: object, what: str) -> None:
    if one != other:
        raise ContractError(f"{what} differ:\n{one}\n{other}")
