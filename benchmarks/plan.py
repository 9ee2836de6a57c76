"""The largest number of calls that a run can make, by role and model, before it makes one."""

from __future__ import annotations

from collections import Counter

import dspy

from lbt_dspy.benchmarks.compare import RANDOM_DRAWS, Runner
from lbt_dspy.lms.user_lm import engine_of

Plan = Counter[tuple[str, str]]
MAX_NEW_SETS = 8


def largest_plan(runner: Runner) -> Plan:
    """Return the most calls by (role, LM name) if every call succeeds at once."""
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
    return Counter({key: calls * len(s.seeds) for key, calls in plan.items()})


def largest_prompt_cost(runner: Runner, lm: dspy.LM) -> float | None:
    """Return the most that one exam call can cost with the longest training exemplars; `None`: unknown price."""
    longest = sorted(runner.data.train, key=lambda e: -len(e[runner.data.task.text_field]))
    examiner_problem = max(runner.problems, key=lambda p: len(p.example[runner.data.task.text_field]))
    from lbt_dspy.exam.render import Renderer, current_adapter

    renderer = Renderer(runner.program.signature, current_adapter())
    prefix = renderer.prefix(tuple(longest[: runner.settings.exemplars]), lm, engine_of(lm), {}, 0)
    return engine_of(lm).worst_cost(prefix.call(examiner_problem.example.inputs()).request)
