"""The largest number of calls that a run can make, by role and model, before it makes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dspy

from lbt_dspy.benchmarks.m3.runs import RANDOM_DRAWS, Runner
from lbt_dspy.exam.render import Renderer, current_adapter
from lbt_dspy.ledger.calls import LazyCall
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.teleprompters.exemplars.limits import limits_of

Plan = Counter[tuple[str, str]]
ANSWER_TOKENS = 16


def largest_plan(runner: Runner) -> Plan:
    """Return the most calls by (role, LM name) if every call succeeds at once.

    In a program of the user's own each predictor is taken to be asked once in a run.
    """
    s, data = runner.settings, runner.data
    teacher = engine_of(runner.teacher).name
    test, selection = len(data.test), min(s.selection_examples, len(data.train))
    minibatch, groups = min(s.minibatch, len(data.train)), runner.groups()
    most = limits_of(runner.optimizer(0, groups[-1][1]), selection)
    plan: Plan = Counter()
    plan["teacher", teacher] += test * (1 + RANDOM_DRAWS)  # zero, random
    for _, students in groups:
        plan["teacher", teacher] += most.written + test * (s.rounds + 1)
        if s.selection == "teacher":
            plan["teacher", teacher] += most.evaluations
        for student in students:
            examined = most.examined * minibatch + (most.evaluations if s.selection == "students" else 0)
            plan["students", engine_of(student).name] += examined
    readers = len(groups[-1][1])
    search = most.written + most.examined * minibatch * readers
    search += most.evaluations * (1 if s.selection == "teacher" else readers)
    plan["teacher", teacher] += max(selection, search) + test  # random-search
    sittings = sum(plan.values()) - len(groups) * most.written
    for other in runner.trained.others():
        plan["teacher", engine_of(other).name] += sittings
    return Counter({key: calls * len(s.seeds) for key, calls in plan.items()})


def call_costs(runner: Runner, lm: dspy.LM) -> tuple[float | None, float | None]:
    """Return about what one exam call costs, and the most it can cost, in US dollars; `None`: unknown price.

    About: a question and exemplars of median length, an answer of a few tokens. The most: the longest training texts,
    a token per byte, an answer as long as it may be.
    """
    engine, fields = engine_of(lm), runner.data.task.inputs
    by_length = sorted(runner.data.train, key=lambda example: sum(len(example[field]) for field in fields))
    size, middle = runner.settings.exemplars, len(by_length) // 2
    renderer = Renderer(runner.trained.signature, current_adapter())

    def call(exemplars: Sequence[dspy.Example]) -> LazyCall:
        inputs = {name: exemplars[-1].get(name, "") for name in runner.trained.signature.input_fields}
        return renderer.prefix(exemplars, lm, engine, {}, 0).call(inputs)

    likely = engine.likely_cost(call([by_length[middle]] * size).request, ANSWER_TOKENS)
    return likely, engine.worst_cost(call(by_length[-size:]).request)
