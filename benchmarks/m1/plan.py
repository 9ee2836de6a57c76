"""The largest number of calls that a run of M1 can make, and about what one of them costs."""

from __future__ import annotations

from collections import Counter

import dspy

from lbt_dspy.benchmarks.m1.rows import way_of
from lbt_dspy.benchmarks.m1.runs import RerankRunner
from lbt_dspy.benchmarks.m1.settings import ALL
from lbt_dspy.benchmarks.shared.console import Costs
from lbt_dspy.exam.render import Renderer, current_adapter
from lbt_dspy.lms.user_lm import engine_of

CHARACTERS_PER_TOKEN = 4
SHORTEST_ANSWER = 64


def largest_plan(runner: RerankRunner) -> Counter[tuple[str, str]]:
    """Return the most calls by (role, LM name) if every call succeeds at once and no exam stops early.

    The rows share what they have in common: lessons are sampled once with and once without the few-shot examples, and
    a sitting is held once.
    """
    s = runner.settings
    questions = sum(len(task.teaching) for task in runner.tasks)
    plan: Counter[tuple[str, str]] = Counter()
    samples = [s.rationales if way_of(name, runner.task).sampled else 1 for name in runner.task.shots]
    per_question = 1 + s.rationales + sum(samples)
    plan["teacher", engine_of(runner.teacher).name] = questions * per_question * runner.task.calls
    problems = sum(map(sum, runner.exam_sizes))
    marks = [s.mark, *(mark for mark, _ in runner.other_marks())] if s.schedule == ALL else [s.mark]
    for student in runner.students:
        held = s.rationales * s.sittings if "grade" in marks else 0
        scored = 1 + s.rationales if "evidence" in marks else 0  # once without a lesson
        plan["students", engine_of(student).name] += problems * (held + scored) * runner.task.calls
    return plan


def call_costs(runner: RerankRunner, role: str, lm: dspy.LM) -> Costs:
    """Return about what one call costs, and the most it can cost, in US dollars; `None`: unknown price.

    About: a question and a solution of median length. The most: the longest of both, a token per byte, an answer as
    long as it may be. A teacher reads a lesson per exam problem in half of its calls, a student one in each.
    """
    engine = engine_of(lm)
    renderer = Renderer(runner.task.program.predictors()[0].signature, current_adapter(runner.task.adapter))
    known = [*runner.task.bank, *runner.task.teaching]

    def written(example: dspy.Example) -> str:
        return str(example.get("solution") or example.get(runner.task.answer) or "")

    known.sort(key=lambda example: len(example.question) + len(written(example)))
    shown = 1 if role == "students" else runner.settings.exam_problems

    def request(example: dspy.Example) -> tuple[object, int]:
        lesson = dspy.Example(**example, reasoning=written(example))
        call = renderer.prefix([lesson] * shown, lm, engine, {}, 0).call(example.inputs())
        return call.request, max(SHORTEST_ANSWER, len(written(example)) // CHARACTERS_PER_TOKEN)

    middle, length = request(known[len(known) // 2])
    return engine.likely_cost(middle, length), engine.worst_cost(request(known[-1])[0])
