"""The largest number of calls that a run can make, by role and model, before it makes one."""

from __future__ import annotations

from collections import Counter

import dspy

from lbt_dspy.benchmarks.m3.runs import RANDOM_DRAWS, Runner
from lbt_dspy.benchmarks.shared.words import spelt
from lbt_dspy.exam.costs import Costs, costs_of_call
from lbt_dspy.exam.render import Renderer, current_adapter
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.teleprompters.exemplars.limits import larger_than_data, limits_of

Plan = Counter[tuple[str, str]]


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


def call_costs(runner: Runner, lm: dspy.LM) -> Costs:
    """Return about what one exam call costs, and the most it can cost; see `costs_of_call`."""
    renderer = Renderer(runner.trained.signature, current_adapter())
    return costs_of_call(renderer, lm, runner.data.train, shown=runner.settings.exemplars)


def cut_options(runner: Runner) -> list[str]:
    """Say which options ask for more than the data has."""
    train = len(runner.data.train)
    found = larger_than_data(runner.optimizer(0, runner.groups()[-1][1]), train, train)
    return [f"{spelt(name)}{said.removeprefix(name)}." for name, said in found.items()]
