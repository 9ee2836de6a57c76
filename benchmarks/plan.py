"""The largest number of calls that a run can make, by role and model, before it makes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dspy

from lbt_dspy.benchmarks.compare import RANDOM_DRAWS, Runner
from lbt_dspy.exam.render import LazyCall, Renderer, current_adapter
from lbt_dspy.lms.user_lm import engine_of

Plan = Counter[tuple[str, str]]
MAX_NEW_SETS = 8
ANSWER_TOKENS = 16


def largest_plan(runner: Runner) -> Plan:
    """Return the most calls by (role, LM name) if every call succeeds at once.

    In a program of the user's own each predictor is taken to be asked once in a run.
    """
    s, data = runner.settings, runner.data
    teacher = engine_of(runner.teacher).name
    test, selection = len(data.test), min(s.selection_examples, len(data.train))
    minibatch = min(s.minibatch, len(data.train))
    kept = [1, *[s.beam] * (s.rounds - 1)] if s.rounds else []
    new_per_set = min(MAX_NEW_SETS, s.reflections)
    sets = 1 + sum(k * new_per_set for k in kept)
    plan: Plan = Counter()
    plan["teacher", teacher] += test * (1 + RANDOM_DRAWS)  # zero, random
    for _, students in runner.groups():
        plan["teacher", teacher] += sets * selection + sum(2 * k * s.reflections for k in kept)
        plan["teacher", teacher] += test * (s.rounds + 1)
        for student in students:
            plan["students", engine_of(student).name] += sum(kept) * minibatch
    plan["teacher", teacher] += sets * selection + test  # random-search
    sittings = sum(plan.values()) - len(runner.groups()) * sum(2 * k * s.reflections for k in kept)
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
