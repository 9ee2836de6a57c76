"""Search with Optuna: a few categorical choices say how to make a set; trials are pruned on minibatches.

The choices are which of at most 16 balanced seed sets to start from, which of the teacher's reflections on it to apply,
how many exemplars to swap for training examples, and their order. Raw indices of the pool would be hopeless: a set does
not depend on their order, and TPE (Bergstra et al., NeurIPS 2011) models each choice by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dspy
import numpy as np

from lbt_dspy.sampling import digest_int, stream
from lbt_dspy.teleprompters.exemplars.limits import SEED_SETS
from lbt_dspy.teleprompters.exemplars.moves import best_first, random_set
from lbt_dspy.teleprompters.exemplars.records import ExemplarSet, Found, Proposal, Round, ScoredSet
from lbt_dspy.teleprompters.exemplars.searches.beam import criticise_and_revise
from lbt_dspy.teleprompters.exemplars.searches.study import SharedStudy, open_storage, storage_in_reach
from lbt_dspy.teleprompters.exemplars.task import Task
from lbt_dspy.teleprompters.exemplars.writing import covering

EVALUATIONS = "evaluations"
"""User attribute of a trial: on how many selection examples it was scored."""
STEPS = 8
"""A trial is scored in so many equal steps, and may be pruned after each."""
ORDERS = ("as drawn", "reversed", "labels in turn", "labels in blocks")


@dataclass
class Desk:
    """The seed sets of one process, and the revisions of those that it used so far."""

    task: Task
    seeds: list[ExemplarSet]
    revised: dict[int, list[Proposal]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    def proposals(self, seed_set: int) -> list[Proposal]:
        """Let students be examined on a seed set and the teacher revise it, once."""
        if seed_set not in self.revised:
            proposals, errors = criticise_and_revise(self.task, [self.seeds[seed_set]], seed_set + 1)
            self.revised[seed_set] = proposals
            for student, count in errors.items():
                self.errors[student] = self.errors.get(student, 0) + count
        return self.revised[seed_set]


def tpe_search(task: Task) -> Found:
    """Return round 0 (the initial set) and round 1 (the best completed trials of the whole study).

    The number of trials is the number of evaluations over that of selection examples: a pruned trial costs less, so a
    search costs at most as much as the others, often less. With a shared storage the trials of all processes count.
    """
    options, context = task.options, task.context
    seeds = [task.initial_set()]
    seeds += [random_set(task.train, options.exemplars, context.label_of, context.seed, i) for i in range(1, SEED_SETS)]
    desk = Desk(task=task, seeds=seeds)
    initial = tuple(task.score(seeds[:1]))
    rounds = [task.tell(Round(number=0, beam=initial, scored=initial))]
    if options.rounds == 0:
        return Found(rounds=tuple(rounds))
    trials = max(1, task.evaluations // len(task.selection.examples) - 1)
    mine: list[ScoredSet] = []
    storage = open_storage(options.storage)
    with storage_in_reach(options.storage):
        shared = SharedStudy(storage, study_name(task), trials=trials, seed=context.seed)
        shared.run(lambda trial: run_trial(desk, trial, mine))
        best = [composed(desk, trial.params, trial.number) for trial in shared.best(options.beam)]
        calls = calls_of(task, shared.study)
    scored = task.score(list({s.content: s for s in best}.values()))
    proposals = [p for own in desk.revised.values() for p in own]
    beam = best_first([*scored, *initial], options.beam)
    done = Round(number=1, beam=beam, proposals=tuple(proposals), scored=tuple(mine), errors=desk.errors)
    return Found(rounds=(rounds[0], task.tell(done)), study=shared.study, calls=calls)


def calls_of(task: Task, study: Any) -> int:
    """Return the model calls of a study, whichever process made them: scoring, students, reflections, revisions."""
    options, trials = task.options, study.get_trials(deepcopy=False)
    criticised = {
        trial.params["seed_set"]
        for trial in trials
        if any(trial.params.get(reflection_name(i)) for i in range(options.reflections))
    }
    each = min(options.minibatch, len(task.train)) * len(options.exam_students) + 2 * options.reflections
    scored = sum(int(trial.user_attrs.get(EVALUATIONS, 0)) for trial in trials)
    return len(task.selection.examples) + scored + len(criticised) * each


def run_trial(desk: Desk, trial: Any, scored: list[ScoredSet]) -> float:
    """Make the set of a trial and score it step by step, unless it is pruned; add the finished one to `scored`."""
    import optuna

    reflections = map(reflection_name, range(desk.task.options.reflections))
    params = {
        "seed_set": trial.suggest_categorical("seed_set", list(range(len(desk.seeds)))),
        "swaps": trial.suggest_categorical("swaps", list(range(desk.task.options.exemplars // 2 + 1))),
        "order": trial.suggest_categorical("order", list(ORDERS)),
        **{name: trial.suggest_categorical(name, [False, True]) for name in reflections},
    }
    made = composed(desk, params, trial.number)
    examples = desk.task.selection.examples
    for step in range(1, STEPS + 1):
        (done,) = desk.task.score([made], examples[: -(-len(examples) * step // STEPS)])
        if done.score is None:
            raise optuna.TrialPruned("nothing was measured")
        score = done.score
        trial.report(score, step)
        if step == STEPS or trial.should_prune():
            break
    trial.set_user_attr(EVALUATIONS, done.examples)
    scored.append(done)
    if done.examples < len(examples):
        raise optuna.TrialPruned
    return score


def reflection_name(number: int) -> str:
    """Return the name of the choice whether to apply a reflection."""
    return f"reflection_{number + 1}"


def composed(desk: Desk, params: Mapping[str, Any], number: int) -> ExemplarSet:
    """Return the set that the choices of a trial make; equal choices make the same set in every process."""
    task, start = desk.task, desk.seeds[params["seed_set"]]
    wanted = [i for i in range(task.options.reflections) if params[reflection_name(i)]]
    proposals = desk.proposals(params["seed_set"]) if wanted else []
    chosen = list(start.exemplars)
    for i in wanted:
        if i < len(proposals) and proposals[i].revised is not None:
            chosen = merged(task, chosen, start, proposals[i].revised)  # type: ignore[arg-type]
    rng = stream(task.context.seed, "swaps", params["seed_set"], params["swaps"], wanted)
    chosen = swapped(task, chosen, params["swaps"], rng)
    chosen = covering(task.context, chosen, start.exemplars)
    return ExemplarSet(exemplars=tuple(in_order(task, chosen, params["order"])), origin=f"trial {number}")


def merged(task: Task, chosen: list[dspy.Example], start: ExemplarSet, revised: ExemplarSet) -> list[dspy.Example]:
    """Let what a revision brought in take the places of what it took out, where that is still there."""
    inputs = task.context.inputs_of
    before, after = {inputs(e) for e in start.exemplars}, {inputs(e) for e in revised.exemplars}
    fresh = [e for e in revised.exemplars if inputs(e) not in before | {inputs(c) for c in chosen}]
    places = [i for i, e in enumerate(chosen) if inputs(e) in before - after]
    result = list(chosen)
    for place, exemplar in zip(places, fresh, strict=False):
        result[place] = exemplar
    return result


def swapped(task: Task, chosen: list[dspy.Example], swaps: int, rng: np.random.Generator) -> list[dspy.Example]:
    """Let random training examples take the places of random exemplars with the same label."""
    context, result = task.context, list(chosen)
    taken = {context.inputs_of(e) for e in chosen}
    pool = [task.train[i] for i in rng.permutation(len(task.train))]
    for place in rng.permutation(len(chosen))[:swaps]:
        label = context.label_of(result[place])
        fresh = next((e for e in pool if context.label_of(e) == label and context.inputs_of(e) not in taken), None)
        if fresh is not None:
            result[place] = fresh
            taken.add(context.inputs_of(fresh))
    return result


def in_order(task: Task, exemplars: list[dspy.Example], order: str) -> list[dspy.Example]:
    """Return exemplars in the named order."""
    if order == "as drawn":
        return exemplars
    if order == "reversed":
        return exemplars[::-1]
    queues: dict[str, list[dspy.Example]] = {}
    for exemplar in exemplars:
        queues.setdefault(task.context.label_of(exemplar), []).append(exemplar)
    if order == "labels in blocks":
        return [e for label in sorted(queues) for e in queues[label]]
    longest = max(map(len, queues.values()))
    return [queues[label][i] for i in range(longest) for label in sorted(queues) if i < len(queues[label])]


def study_name(task: Task) -> str:
    """Name the study by all that decides what a trial means, so that only equal searches share one."""
    o, context = task.options, task.context
    what = (
        [sorted(map(context.inputs_of, examples)) for examples in (task.train, task.selection.examples)],
        [lm.model for lm in (context.teacher, *context.students)], context.labels, context.instructions, context.seed,
        [o.exemplars, o.init, o.minibatch, o.reflections, o.cases_per_reflection, o.reflection_mix, o.selection],
    )  # fmt: skip
    return f"lbt-{digest_int(*what):016x}"
