"""What a program is worth: the share of a problem's tests that it passes, in the sandbox."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.metrics.programs.text import extract_program, program_key
from lbt_dspy.metrics.sandbox import Limits, run_program, run_script
from lbt_dspy.metrics.sandbox.cells import SandboxFault
from lbt_dspy.metrics.sandbox.records import case_of
from lbt_dspy.types import Mark

KEPT = 16_384
Test = str | tuple[str, str]
"""A snippet that raises when it fails, or what a script reads and must print."""
NO_PROGRAM = Mark(value=0.0, reason="no program was written")


class Graded(NamedTuple):
    """What a program is worth."""

    share: float | None
    """Of the tests that passed, in [0, 1]; `None`: not measured."""
    failed: int | None
    """The first test that failed."""
    error: str | None
    """Of that test, or of the sandbox."""


class ProgramTests:
    """Grader of programs: the share of a problem's tests that pass, the V-score of visible ones (arXiv 2406.14629).

    A problem holds its tests in one field: snippets that raise when they fail or, of programs that are run as scripts,
    pairs (standard input, standard output) or `{"stdin": ..., "stdout": ...}`. Beside them it may have

    * `entry_point`: what the tests call, e.g. `add` or `Solution().twoSum`; it is taken from the program and from
      nowhere else;
    * `preamble`: trusted source that program and tests both have: imports, and helpers of the tests;
    * `starter`: the code of which a model may give the rest alone.

    Programs never run in this process; see docs/sandbox.md. The same program at the same tests is graded once.

    Args:
        field: Name of the output field with the program, of whose text it is taken (see `extract_program`).
        tests: Name of the problem's field with the tests.
        limits: What one grade may use.
        isolation: `auto` (bubblewrap, else an error), `bubblewrap` or `weak`.
    """

    def __init__(
        self,
        field: str = "program",
        *,
        tests: str = "visible",
        limits: Limits = Limits(),  # noqa: B008 - frozen
        isolation: str = "auto",
    ) -> None:
        self.field = field
        self.reference = tests
        self.about = (tests, "entry_point", "preamble", "starter")
        self.limits = limits
        self.isolation = isolation

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Return the share of the tests that pass; the reason is the first error. Not measured if the sandbox fails.

        Raises:
            UserError: The program gives no such field, the problem has no tests, or the isolation does not work here.
        """
        if self.field not in output:
            known = ", ".join(map(str, output.keys())) or "nothing"
            raise UserError(f"the program's prediction has no field {self.field!r}, only {known}; return it too")
        graded = self._graded(expected, output[self.field])
        return NO_PROGRAM if graded is None else Mark(value=graded.share, reason=graded.error)

    def __call__(self, example: dspy.Example, prediction: Mapping[str, Any], trace: object = None) -> float:
        """Return the mark as a number, as `dspy.Evaluate` and DSPy's optimisers want it: 0 where it is not measured."""
        return self.grade(example, prediction).value or 0.0

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return a key that is equal for programs that differ in layout, comments and annotations alone."""
        return program_key(extract_program(_text(output.get(self.field))))

    def first_failure(self, problem: Mapping[str, Any], text: object) -> tuple[str, str] | None:
        """Return the first test that a text's program fails, and its error.

        Args:
            problem: As a `dspy.Example` or by name: its tests, and what they need.
            text: What a model wrote.

        Returns:
            `None` when all tests pass, when there are none, and when the sandbox failed.

        Raises:
            UserError: The problem has no such field, or the isolation does not work here.
        """
        if self.reference not in problem:
            known = ", ".join(map(str, problem.keys()))
            raise UserError(f"first_failure needs the problem's {self.reference!r}, [] for none, but was given {known}")
        if not problem[self.reference]:
            return None
        tests, graded = self._tests(problem), self._graded(problem, text)
        if graded is None:
            return _shown(tests[0]), str(NO_PROGRAM.reason)
        return None if graded.failed is None else (_shown(tests[graded.failed]), str(graded.error))

    def _graded(self, problem: Mapping[str, Any], text: object) -> Graded | None:
        """Return what came of the tests of a problem; `None` when the text has no program."""
        about = {name: str(problem.get(name) or "") for name in ("entry_point", "preamble", "starter")}
        program = extract_program(_text(text), entry_point=about["entry_point"], starter=about["starter"])
        if program is None:
            return None
        asked = (program, self._tests(problem), about["entry_point"], about["preamble"], self.limits, self.isolation)
        try:
            return _run(*asked)
        except SandboxFault as fault:
            return Graded(None, None, str(fault))

    def _tests(self, problem: Mapping[str, Any]) -> tuple[Test, ...]:
        tests = problem.get(self.reference)
        if not tests or isinstance(tests, str):
            start = str(problem.get("question", ""))[:60]
            raise UserError(
                f"the problem {start!r} has no tests in {self.reference!r}; give a list of snippets, or of pairs of "
                "standard input and output"
            )
        return tuple(test if isinstance(test, str) else case_of(test) for test in tests)


@lru_cache(maxsize=KEPT)
def _run(
    program: str, tests: tuple[Test, ...], entry_point: str, preamble: str, limits: Limits, isolation: str
) -> Graded:
    """Grade a program once; what the sandbox failed to measure is not remembered."""
    snippets = [test for test in tests if isinstance(test, str)]
    if snippets:
        names = [entry_point.partition("(")[0].partition(".")[0]] if entry_point else None
        verdict = run_program(program, snippets, preamble=preamble, names=names, limits=limits, isolation=isolation)
    else:
        cases = [test for test in tests if not isinstance(test, str)]
        verdict = run_script(program, cases, limits=limits, isolation=isolation)
    if verdict.fault is not None:
        raise SandboxFault(verdict.fault)
    return Graded(verdict.share, verdict.failed, verdict.error)


def _shown(test: Test) -> str:
    return test if isinstance(test, str) else f"standard input:\n{test[0]}\nexpected output:\n{test[1]}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
