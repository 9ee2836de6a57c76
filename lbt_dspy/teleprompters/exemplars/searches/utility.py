"""Credit each exemplar: sets are examined on small fresh exams, a model pools what that says of every exemplar.

Round 0 examines the initial set and random balanced sets. Each later round first renews the pool (failure cases of the
students and teacher-written exemplars enter, the worst leave), then examines the sets that Thompson sampling proposes
(Thompson 1933; Russo et al., arXiv 1707.02038). In the end the most promising are scored on all selection examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import dspy
import numpy as np

from lbt_dspy.sampling import balanced, stream
from lbt_dspy.teleprompters.exemplars.moves import best_first
from lbt_dspy.teleprompters.exemplars.records import (
    ExemplarSet,
    ExemplarValue,
    Found,
    Proposal,
    Round,
    ScoredSet,
)
from lbt_dspy.teleprompters.exemplars.searches.beam import criticise_and_revise
from lbt_dspy.teleprompters.exemplars.searches.credit import Credit, Observation, Values
from lbt_dspy.teleprompters.exemplars.task import Task

SETS_PER_DRAW = 4
EXAM_SHARE, SMALLEST_EXAM = 8, 25
"""An exam has an eighth of the selection examples, but not fewer than 25, unless `draw` says otherwise."""
WIDTH = 0.5
"""Thompson samples are drawn with half of the posterior's deviation: the budget is short, so exploit sooner."""
RENEWED = 8
"""At most one in so many exemplars of the pool is replaced in a round."""
FINAL_SHARE = 4
"""The final scoring takes at most one in so many evaluations."""
LEAST_FINALISTS = 2
"""The initial set, and the most promising one; the initial set is always among the finalists."""


class Memory:
    """All that one search has seen: its exemplars by number, their pool, and the scores of sets."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.exemplars: list[dspy.Example] = []
        self.origins: list[str] = []
        self.pool: list[int] = []
        self.credit = Credit()
        self.sets: dict[frozenset[int], ExemplarSet] = {}
        self._numbers: dict[object, int] = {}

    def number_of(self, exemplar: dspy.Example, origin: str) -> int:
        """Return the number of an exemplar, a new one where it is new."""
        key = (self.task.context.inputs_of(exemplar), self.task.context.label_of(exemplar))
        number = self._numbers.setdefault(key, len(self.exemplars))
        if number == len(self.exemplars):
            self.exemplars.append(exemplar)
            self.origins.append(origin)
        return number

    def admit(self, exemplars: Sequence[dspy.Example], origin: str) -> list[int]:
        """Let new exemplars into the pool; return the numbers of those that were not known before."""
        known = len(self.exemplars)
        numbers = dict.fromkeys(self.number_of(exemplar, origin) for exemplar in exemplars)
        fresh = [number for number in numbers if number >= known]
        self.pool += fresh
        return fresh

    def label(self, number: int) -> str:
        """Return the label of an exemplar."""
        return self.task.context.label_of(self.exemplars[number])

    def as_set(self, members: frozenset[int], origin: str, rng: np.random.Generator) -> ExemplarSet:
        """Return the set of these members, in random order the first time and in the same order ever after."""
        if members not in self.sets:
            order = rng.permutation(sorted(members))
            self.sets[members] = ExemplarSet(exemplars=tuple(self.exemplars[i] for i in order), origin=origin)
        return self.sets[members]

    def note(self, sets: Sequence[ExemplarSet], results: Sequence[ScoredSet], *, random: bool) -> None:
        """Keep the scores of sets that sat one exam."""
        exam = []
        for exemplar_set, result in zip(sets, results, strict=True):
            members = tuple(self.number_of(exemplar, exemplar_set.origin) for exemplar in exemplar_set.exemplars)
            self.sets.setdefault(frozenset(members), exemplar_set)
            if result.score is not None and result.measured:
                exam.append(
                    Observation(
                        members=members, score=result.score, variance=result.variance or 0.0, measured=result.measured
                    )
                )
        self.credit.add(exam, random=random)

    def values(self) -> Values:
        """Return the posterior of all exemplars' values."""
        return self.credit.values(len(self.exemplars))


def utility_search(task: Task) -> Found:
    """Return the rounds of the search and what each exemplar is worth."""
    options, memory, examples = task.options, Memory(task), len(task.selection.examples)
    first = task.initial_set()
    fill_pool(task, memory, first)
    finalists = max(LEAST_FINALISTS, min(2 * options.beam, task.evaluations // (FINAL_SHARE * examples)))
    budget = task.evaluations - finalists * examples if options.rounds else 0
    exam = exam_size(task)
    scored, used, draws = examine(task, memory, [first], 0, random=True)
    initial = tuple(scored)
    rounds: list[Round] = []
    for number in range(options.rounds + 1):
        proposals, errors = renew(task, memory, number) if number else ([], {})
        share = budget * (number + 1) // (options.rounds + 1)
        while (context := (share - used) // exam) > 0:
            sets = propose(task, memory, number, draws)[:context]
            done, cost, draws = examine(task, memory, sets, draws, random=number == 0)
            scored += done
            used += cost
        beam = estimated(memory, promising(task, memory, 1)) if number else initial
        if number and number == options.rounds:
            others = [s for s in promising(task, memory, finalists) if s.content != first.content]
            beam = best_first(task.score([first, *others[: finalists - 1]]), finalists)
        done_round = Round(
            number=number, beam=beam, proposals=tuple(proposals), scored=tuple(scored), errors=errors
        )  # fmt: skip
        rounds.append(task.tell(done_round))
        scored = []
    return Found(rounds=tuple(rounds), values=exemplar_values(memory))


def fill_pool(task: Task, memory: Memory, first: ExemplarSet) -> None:
    """Begin with the initial set and a balanced draw of training examples."""
    size = max(task.options.pool, 2 * task.options.exemplars)
    memory.admit(first.exemplars, first.origin)
    start = balanced(task.train, size, task.context.label_of, stream(task.context.seed, "pool"))
    memory.admit(start[: max(0, size - len(memory.pool))], "training set")


def exam_size(task: Task) -> int:
    """Return how many selection examples one exam has."""
    examples = len(task.selection.examples)
    size = max(SMALLEST_EXAM, examples // EXAM_SHARE) if task.options.draw is None else task.options.draw
    return min(size, examples)


def examine(
    task: Task, memory: Memory, sets: Sequence[ExemplarSet], draw: int, *, random: bool
) -> tuple[list[ScoredSet], int, int]:
    """Examine sets on one fresh draw of selection examples; return scores, evaluations, and the next draw's number."""
    examples = task.draw(task.selection.examples, exam_size(task), "draw", draw)
    scored = task.examine(sets, examples)
    memory.note(sets, scored, random=random)
    return scored, len(sets) * len(examples), draw + 1


def propose(task: Task, memory: Memory, number: int, draw: int) -> list[ExemplarSet]:
    """Return the sets to examine next: random ones in round 0, then those of Thompson sampling."""
    values = memory.values() if number else None
    sets: dict[frozenset[int], ExemplarSet] = {}
    for place in range(SETS_PER_DRAW):
        rng = stream(task.context.seed, "propose", draw, place)
        sampled = rng.random(len(memory.exemplars)) if values is None else values.sample(rng, WIDTH)
        members = compose(memory, sampled, task.options.exemplars, rng)
        sets.setdefault(members, memory.as_set(members, f"round {number}, draw {draw}, set {place + 1}", rng))
    return list(sets.values())


def compose(
    memory: Memory, values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]], size: int,
    rng: np.random.Generator,
) -> frozenset[int]:  # fmt: skip
    """Return the exemplars of the pool with the largest values, evenly over the labels."""
    queues: dict[str, list[int]] = {}
    for number in sorted(memory.pool, key=lambda i: -values[i]):
        queues.setdefault(memory.label(number), []).append(number)
    labels = sorted(queues)
    turns = [queues[labels[i]] for i in rng.permutation(len(labels))]
    longest = max(map(len, turns))
    return frozenset([queue[place] for place in range(longest) for queue in turns if place < len(queue)][:size])


def promising(task: Task, memory: Memory, most: int) -> list[ExemplarSet]:
    """Return the sets with the largest sums of values, the best one that the pool allows among them."""
    values = memory.values().mean
    rng = stream(task.context.seed, "best", memory.credit.scored)
    best = compose(memory, values, task.options.exemplars, rng)
    memory.as_set(best, f"best of the pool after {memory.credit.scored} exams", rng)
    ranked = sorted(memory.sets, key=lambda members: -float(values[list(members)].sum()))
    return [memory.sets[members] for members in ranked[:most]]


def estimated(memory: Memory, sets: Sequence[ExemplarSet]) -> tuple[ScoredSet, ...]:
    """Return sets with the scores that the model expects of them: the mean score and what their members add."""
    values = memory.values()
    results = []
    for exemplar_set in sets:
        numbers = [memory.number_of(exemplar, "") for exemplar in exemplar_set.exemplars]
        score = values.expected(numbers) if memory.credit.scored else None
        results.append(ScoredSet(exemplar_set=exemplar_set, score=score, coverage=0.0, measured=0, examples=0))
    return tuple(results)


def renew(task: Task, memory: Memory, number: int) -> tuple[list[Proposal], dict[str, int]]:
    """Let failure cases of the best set and teacher-written exemplars into the pool; as many of the worst leave."""
    best = promising(task, memory, 1)
    proposals, errors = criticise_and_revise(task, best, number)
    values = memory.values().mean
    keep = {memory.number_of(exemplar, "") for exemplar in best[0].exemplars}
    written = [e for p in proposals if p.revised is not None for e in p.revised.exemplars]
    cases = [case.example for p in proposals for case in p.cases]
    context = max(1, len(memory.pool) // RENEWED)
    before = list(memory.pool)
    origin = f"round {number}"
    fresh = [
        *memory.admit(written, f"{origin}, written by the teacher"),
        *memory.admit(cases, f"{origin}, failure case"),
    ]
    memory.pool = before + fresh[:context]
    for newcomer in fresh[:context]:
        leavers = [i for i in before if i not in keep and memory.label(i) == memory.label(newcomer)]
        if leavers:
            worst = min(leavers, key=lambda i: values[i])
            before.remove(worst)
            memory.pool.remove(worst)
    return proposals, dict(errors)


def exemplar_values(memory: Memory) -> tuple[ExemplarValue, ...]:
    """Return every exemplar that was examined, the most valuable first."""
    values = memory.values()
    deviation, exams = values.deviation, memory.credit.exams
    order = sorted((i for i in range(len(exams)) if exams[i]), key=lambda i: -values.mean[i])
    return tuple(
        ExemplarValue(
            exemplar=memory.exemplars[i], origin=memory.origins[i], value=float(values.mean[i]),
            low=float(values.mean[i] - 1.96 * deviation[i]), high=float(values.mean[i] + 1.96 * deviation[i]),
            exams=int(exams[i]),
        )
        for i in order
    )  # fmt: skip
