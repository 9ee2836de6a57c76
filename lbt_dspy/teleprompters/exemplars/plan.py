"""The most calls that a search can make, by role and model, before it makes one."""

from __future__ import annotations

from collections import Counter

import dspy

from lbt_dspy.exam.costs import costs_of_call
from lbt_dspy.exam.render import Renderer
from lbt_dspy.ledger.plan import CallPlan, PlannedCalls
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.teleprompters.exemplars.limits import limits_of
from lbt_dspy.teleprompters.exemplars.task import Task


def plan_of(task: Task) -> CallPlan:
    """Return the plan of a search; in a larger program each predictor is taken to be asked once in a run."""
    options, context = task.options, task.context
    most = limits_of(options, len(task.selection.examples))
    by_students = options.selection == "students"
    minibatch = min(options.minibatch, len(task.train))
    sittings = Counter({("teacher", context.teacher): 0 if by_students else most.evaluations})
    for student in context.students:
        sittings["students", student] += most.examined * minibatch + (most.evaluations if by_students else 0)
    calls = Counter(sittings)
    calls["teacher", context.teacher] += most.written
    for other in _others(task):
        calls["teacher", other] += sum(sittings.values())
    renderer = Renderer(context.examiner.examined.signature, context.examiner.layout)
    shown = [*task.train, *task.selection.examples]
    rows = []
    for (role, lm), number in calls.items():
        likely, worst = costs_of_call(renderer, lm, shown, shown=options.exemplars)
        name = engine_of(lm).name
        rows.append(PlannedCalls(role=role, lm=name, calls=number, likely_cost=likely, worst_cost=worst))
    return CallPlan(rows)


def _others(task: Task) -> list[dspy.LM]:
    """Return the LMs of the predictors that do not learn."""
    examiner = task.context.examiner
    found = [p.lm or dspy.settings.lm for name, p in examiner.program.named_predictors() if name != examiner.name]
    return [lm for lm in found if lm is not None]
