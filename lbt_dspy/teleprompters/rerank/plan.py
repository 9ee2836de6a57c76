"""The most calls that answering questions can make, by role and model, before one is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dspy

from lbt_dspy.exam.costs import Costs, costs_of_call, tokens_of
from lbt_dspy.exam.render import Renderer, current_adapter
from lbt_dspy.ledger.plan import CallPlan, PlannedCalls
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.teleprompters.rerank.options import RerankOptions
from lbt_dspy.types import ExamProblem

SHORTEST_ANSWER = 64


def plan_of(
    program: dspy.Module,
    questions: Sequence[dspy.Example],
    exams: Sequence[Sequence[ExamProblem]],
    *,
    options: RerankOptions,
    students: Sequence[dspy.LM],
    taught: dspy.Predict,
    answer: str,
) -> CallPlan:
    """Return the plan if no exam stops early; each predictor is taken to be asked once in a run of the program.

    Args:
        program: Answers the questions.
        questions: At least one.
        exams: The exam of each.
        options: Of the reranking.
        students: Those who sit the exams.
        taught: The predictor whose text is the lesson, and which students take over.
        answer: The field with the answer.
    """
    problems = sum(map(len, exams))
    evidence = options.marking is not None
    each = 1 + options.rationales if evidence else options.rationales * options.sittings_held  # once without a lesson
    calls: Counter[tuple[str, dspy.LM]] = Counter()
    for predictor in program.predictors():
        lm = predictor.lm or dspy.settings.lm
        calls["teacher", lm] += len(questions) * options.rationales
        if predictor is not taught:
            calls["teacher", lm] += problems * each * len(students)
    for student in students:
        calls["students", student] += problems * each
    texts = [*questions, *(problem.example for exam in exams for problem in exam)]
    renderer = Renderer(taught.signature, current_adapter(options.adapter))
    rows = []
    for (role, lm), number in calls.items():
        likely, worst = _costs(renderer, lm, texts, answer, shown=int(role == "students"))
        name = engine_of(lm).name
        rows.append(PlannedCalls(role=role, lm=name, calls=number, likely_cost=likely, worst_cost=worst))
    return CallPlan(rows)


def _costs(renderer: Renderer, lm: dspy.LM, texts: Sequence[dspy.Example], answer: str, *, shown: int) -> Costs:
    """Return the costs of a call; answers are taken to be as long as solutions, where those are known."""
    lengths = sorted(tokens_of(str(text.get("solution") or text.get(answer) or "")) for text in texts)
    return costs_of_call(renderer, lm, texts, shown=shown, answer=max(SHORTEST_ANSWER, lengths[len(lengths) // 2]))
