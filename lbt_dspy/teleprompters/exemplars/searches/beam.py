"""The paper's loop: keep a beam of sets, criticise, rewrite, score, select (Ning et al., arXiv 2406.14629)."""

from __future__ import annotations

from collections.abc import Mapping

from lbt_dspy.sampling import stream
from lbt_dspy.teleprompters.exemplars import moves
from lbt_dspy.teleprompters.exemplars.records import ExemplarSet, Found, Proposal, Round, ScoredSet
from lbt_dspy.teleprompters.exemplars.searches.evaluators import EVALUATORS
from lbt_dspy.teleprompters.exemplars.task import Task
from lbt_dspy.teleprompters.exemplars.writing import criticise, mixed, paraphrase, revise


def beam_search(task: Task) -> Found:
    """Return the rounds of the loop; the best set is the first of the last beam."""
    scored = tuple(task.score([task.initial_set()]))
    rounds = [task.tell(Round(number=0, beam=scored, scored=scored))]
    left = task.evaluations - len(task.selection.examples)
    for number in range(1, task.options.rounds + 1):
        if left < (len(task.selection.examples) if task.options.evaluator == "full" else 1):  # no set could be scored
            break
        share = left if task.options.evaluator == "full" else left // (task.options.rounds - number + 1)
        done, used = next_round(task, rounds, number, share)
        rounds.append(task.tell(done))
        left -= used
    return Found(rounds=tuple(rounds))


def next_round(task: Task, past: list[Round], number: int, evaluations: int) -> tuple[Round, int]:
    """Make one round within a number of evaluations; return it and how many it used."""
    options, seed = task.options, task.context.seed
    beam = past[-1].beam
    proposals, errors = criticise_and_revise(task, [scored.exemplar_set for scored in beam], number)
    known = [scored.exemplar_set for r in past for scored in r.scored]
    revised = moves.new_sets(proposals, known)
    if options.paraphrases:
        revised = [[*sets, *paraphrase(task.context, sets, options.paraphrases, number)] for sets in revised]
    fresh = moves.at_most(revised, options.max_new_sets, stream(seed, "new sets", number))
    kept, scored, used = select(task, beam, fresh, evaluations)
    return (
        Round(number=number, beam=kept, proposals=tuple(proposals), scored=scored, errors=errors),
        used,
    )


def criticise_and_revise(task: Task, kept: list[ExemplarSet], number: int) -> tuple[list[Proposal], Mapping[str, int]]:
    """Examine the kept sets, group the failure cases, reflect, revise."""
    options, context = task.options, task.context
    cases, errors = moves.find_cases(context, kept, task.minibatch(number))
    groups = [
        moves.group_cases(
            c, options.reflections, options.cases_per_reflection, stream(context.seed, "groups", number, s)
        )
        for s, c in enumerate(cases)
    ]
    criticisms = [
        mixed(c, options.reflection_mix, options.cases_per_reflection, stream(context.seed, "mix", number, s))
        for s, c in enumerate(criticise(context, kept, groups, number, typed=options.typed_feedback))
    ]
    return revise(context, kept, criticisms, number), errors


def select(
    task: Task, beam: tuple[ScoredSet, ...], fresh: list[ExemplarSet], evaluations: int
) -> tuple[tuple[ScoredSet, ...], tuple[ScoredSet, ...], int]:
    """Score the new sets, and the old ones where that is not finished; return the new beam, what is new, and the cost.

    The evaluator decides who is scored on how many of the selection examples.
    """
    examples = task.selection.examples
    sets = [*(scored.exemplar_set for scored in beam), *fresh]
    known: dict[int, ScoredSet] = dict(enumerate(beam))
    asked = [len(examples) if task.options.evaluator == "full" else s.examples for s in beam] + [0] * len(fresh)
    used = 0

    def score(wish: Mapping[int, int]) -> dict[int, float]:
        nonlocal used
        for n in sorted(set(wish.values())):
            more = [i for i, wanted in wish.items() if wanted == n and (i not in known or known[i].examples < n)]
            used += sum(n - (known[i].examples if i in known else 0) for i in more)
            known.update(zip(more, task.score([sets[i] for i in more], examples[:n]), strict=True))
        return {i: known[i].rank for i in wish}

    given = task.options.evaluator
    evaluator = given if callable(given) else EVALUATORS[given]
    order = evaluator(score, asked, keep=task.options.beam, examples=len(examples), evaluations=evaluations)
    kept = tuple(known[i] for i in order[: task.options.beam])
    return kept, tuple(known[i] for i in range(len(beam), len(sets)) if i in known), used
