"""What the teacher writes: reflections, revised lists, first lists, paraphrases; and what of it is accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
import numpy as np

from lbt_dspy.exam.asking import ask_signature
from lbt_dspy.signatures import (
    LIST_OUTPUT,
    REFLECT_OUTPUT,
    REVISE_OUTPUT,
    Generate,
    Paraphrase,
    Reflect,
    ReflectTyped,
    Revise,
)
from lbt_dspy.teleprompters.exemplars.context import SearchContext
from lbt_dspy.teleprompters.exemplars.records import Case, ExemplarSet, Proposal

SHORTEST_REFLECTION = 6


@dataclass(frozen=True, kw_only=True)
class Criticism:
    """A group of failure cases and why the exemplars could have led to them."""

    cases: tuple[Case, ...]
    reflection: str | None
    kinds: tuple[str, ...] = ()
    """Kinds of mistake, where the teacher was asked for them."""


def criticise(
    context: SearchContext,
    kept: Sequence[ExemplarSet],
    groups: Sequence[Sequence[tuple[Case, ...]]],
    number: int,
    *,
    typed: bool = False,
) -> list[list[Criticism]]:
    """Let the teacher reflect on each group of cases of each set in round `number`."""
    jobs = [(s, g, cases) for s in range(len(kept)) for g, cases in enumerate(groups[s])]
    shown = [_shown(context, kept[s], cases) for s, _, cases in jobs]
    seeds = [("reflect", context.seed, number, s, g) for s, g, _ in jobs]
    outputs = _ask_teacher(context, ReflectTyped if typed else Reflect, shown, seeds)
    criticisms: list[list[Criticism]] = [[] for _ in kept]
    for (s, _, cases), output in zip(jobs, outputs, strict=True):
        reflection = usable_reflection(output)
        kinds = (str(output["kind"]),) if typed and output is not None and reflection is not None else ()
        criticisms[s].append(Criticism(cases=cases, reflection=reflection, kinds=kinds))
    return criticisms


def mixed(criticisms: Sequence[Criticism], mix: int, size: int, rng: np.random.Generator) -> list[Criticism]:
    """Combine `mix` reflections for each revision, of one kind where kinds are known; draw `size` of their cases."""
    useful = [c for c in criticisms if c.reflection is not None]
    if mix == 1 or len(useful) < 2:
        return list(criticisms)
    combined = []
    for first in useful:
        others = [c for c in useful if c is not first]
        others = [c for c in others if c.kinds == first.kinds] or others
        parts = [first, *(others[i] for i in rng.permutation(len(others))[: mix - 1])]
        cases = list({id(case): case for part in parts for case in part.cases}.values())
        combined.append(
            Criticism(
                cases=tuple(cases[i] for i in rng.permutation(len(cases))[:size]),
                reflection="\n".join(f"{i}. {part.reflection}" for i, part in enumerate(parts, 1)),
                kinds=tuple(dict.fromkeys(kind for part in parts for kind in part.kinds)),
            )
        )
    return combined


def revise(
    context: SearchContext, kept: Sequence[ExemplarSet], criticisms: Sequence[Sequence[Criticism]], number: int
) -> list[Proposal]:
    """Let the teacher rewrite each set in the light of each criticism of it."""
    jobs = [(s, parent, g, c) for s, parent in enumerate(kept) for g, c in enumerate(criticisms[s])]
    going = [i for i, (_, _, _, c) in enumerate(jobs) if c.reflection is not None]
    wishes = [
        {**_shown(context, jobs[i][1], jobs[i][3].cases), "reflection": jobs[i][3].reflection,
         "number": len(jobs[i][1].exemplars)}
        for i in going
    ]  # fmt: skip
    seeds = [("revise", context.seed, number, jobs[i][0], jobs[i][2]) for i in going]
    lists = {
        i: output if output is None else output[REVISE_OUTPUT]
        for i, output in zip(going, _ask_teacher(context, Revise, wishes, seeds), strict=True)
    }
    proposals = []
    for i, (s, parent, g, c) in enumerate(jobs):
        origin = f"round {number}, set {s + 1}, reflection {g + 1}"
        revised, dropped = accept_list(context, parent, lists.get(i), origin)
        proposals.append(
            Proposal(
                parent=parent, cases=c.cases, reflection=c.reflection, kinds=c.kinds, revised=revised, dropped=dropped
            )
        )
    return proposals


def generate(context: SearchContext, filler: ExemplarSet) -> ExemplarSet:
    """Let the teacher write the first set from the task's question alone; `filler` takes the places of refused ones."""
    wish = {"task": context.instructions, "answers": list(context.labels), "number": len(filler.exemplars),
            "names": [*context.input_fields, context.label_field]}  # fmt: skip
    (output,) = _ask_teacher(context, Generate, [wish], [("generate", context.seed)])
    written, dropped = accept_list(context, filler, _listed(output), "generated")
    if written is None:
        return ExemplarSet(exemplars=filler.exemplars, origin=f"{filler.origin} (no list of the teacher could be used)")
    left = f", {dropped} refused" if dropped else ""
    return ExemplarSet(exemplars=written.exemplars, origin=f"generated from the question{left}")


def paraphrase(context: SearchContext, sets: Sequence[ExemplarSet], times: int, number: int) -> list[ExemplarSet]:
    """Let the teacher say each set's exemplars in other words, `times` times (Pryzant et al., arXiv 2305.03495)."""
    jobs = [(i, s, t) for i, s in enumerate(sets) for t in range(times)]
    wishes = [
        {"task": context.instructions, "exemplars": [as_fields(context, e) for e in s.exemplars]} for _, s, _ in jobs
    ]
    outputs = _ask_teacher(
        context, Paraphrase, wishes, [("paraphrase", context.seed, number, i, t) for i, _, t in jobs]
    )
    said = []
    for (_, original, t), output in zip(jobs, outputs, strict=True):
        origin = f"{original.origin}, paraphrase {t + 1}"
        new, _ = accept_list(context, original, _listed(output), origin)
        if new is not None and new.content != original.content:
            said.append(new)
    return said


def as_fields(context: SearchContext, example: dspy.Example) -> dict[str, str]:
    """Return an exemplar as the teacher sees it: the predictor's fields as text."""
    inputs = {name: str(example[name]) for name in context.input_fields}
    return inputs | {context.label_field: context.label_of(example)}


def as_case(context: SearchContext, case: Case) -> dict[str, dict[str, str]]:
    """Return a failure case as the teacher sees it. Students stay anonymous: what matters is the exemplars."""
    return {
        "inputs": {name: str(case.example[name]) for name in context.input_fields},
        "answer": {context.label_field: context.label_of(case.example)},
        "students_answered": {f"student {i}": text for i, text in enumerate(sorted(case.wrong_answers.values()), 1)},
    }


def usable_reflection(output: Mapping[str, Any] | None) -> str | None:
    """Return the reflection unless it has five words or fewer."""
    text = "" if output is None else str(output[REFLECT_OUTPUT])
    return text if len(text.split()) >= SHORTEST_REFLECTION else None


def accept_list(
    context: SearchContext, parent: ExemplarSet, written: Sequence[Mapping[str, Any]] | None, origin: str
) -> tuple[ExemplarSet | None, int]:
    """Check a teacher-written list; fill the places of refused exemplars, and of missing labels, from the parent set.

    An exemplar is refused when a field is missing or empty, its label is none of the task's, it repeats another one of
    the list, or it is a copy of a validation text.

    Returns:
        The new set (`None` when nothing usable is in the list) and the number of refused exemplars.
    """
    size = len(parent.exemplars)
    accepted: dict[tuple[str, ...], dspy.Example] = {}
    refused = 0
    for fields in written or ():
        exemplar = checked_exemplar(context, fields)
        if exemplar is None or context.inputs_of(exemplar) in accepted:
            refused += 1
        else:
            accepted[context.inputs_of(exemplar)] = exemplar
    if not accepted:
        return None, refused
    for exemplar in parent.exemplars:
        if len(accepted) < size:
            accepted.setdefault(context.inputs_of(exemplar), exemplar)
    chosen = covering(context, list(accepted.values())[:size], parent.exemplars)
    return ExemplarSet(exemplars=tuple(chosen), origin=origin), refused


def covering(context: SearchContext, chosen: list[dspy.Example], spare: Sequence[dspy.Example]) -> list[dspy.Example]:
    """Return the exemplars with one of `spare` for each label that they lack, in the place of the commonest label's."""
    taken = {context.inputs_of(exemplar) for exemplar in chosen}
    for label in context.labels:
        counts = Counter(map(context.label_of, chosen))
        fresh = [e for e in spare if context.label_of(e) == label and context.inputs_of(e) not in taken]
        if counts[label] or not fresh or max(counts.values()) < 2:
            continue
        commonest = max(counts, key=lambda name: (counts[name], name))
        place = max(i for i, exemplar in enumerate(chosen) if context.label_of(exemplar) == commonest)
        chosen[place] = fresh[0]
    return chosen


def checked_exemplar(context: SearchContext, fields: Mapping[str, Any]) -> dspy.Example | None:
    """Return a teacher-written exemplar as an example, `None` when it is refused."""
    if not all(str(fields.get(name) or "").strip() for name in (*context.input_fields, context.label_field)):
        return None
    label = {known.casefold(): known for known in context.labels}.get(
        str(fields[context.label_field]).strip().casefold()
    )
    values = {name: str(fields[name]).strip() for name in context.input_fields}
    if label is None or context.inputs_of(values) in context.forbidden:
        return None
    return dspy.Example(**values, **{context.label_field: label}).with_inputs(*context.input_fields)


def _listed(output: Mapping[str, Any] | None) -> list[dict[str, str]] | None:
    return None if output is None else output[LIST_OUTPUT]


def _shown(context: SearchContext, parent: ExemplarSet, cases: Sequence[Case]) -> dict[str, Any]:
    return {
        "task": context.instructions,
        "exemplars": [as_fields(context, e) for e in parent.exemplars],
        "failure_cases": [as_case(context, case) for case in cases],
    }


def _ask_teacher(
    context: SearchContext,
    signature: type[dspy.Signature],
    inputs: Sequence[Mapping[str, Any]],
    seeds: Sequence[Sequence[object]],
) -> list[dict[str, Any] | None]:
    return ask_signature(
        signature, inputs, lm=context.teacher, ledger=context.examiner.payer, adapter=context.examiner.layout,
        account=context.account, config=context.writing, seeds=seeds,
    )  # fmt: skip
