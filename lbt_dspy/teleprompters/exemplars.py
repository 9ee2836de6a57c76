"""M3: improve the in-context exemplars of a classifier from the mistakes that students make after reading them.

Ning et al., "Can LLMs Learn by Teaching for Better Reasoning? A Preliminary Study", NeurIPS 2024, arXiv 2406.14629,
section on learning from the feedback iteratively; its loop stands on Pryzant et al., arXiv 2305.03495.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch, Grader
from lbt_dspy.exam.whole_program import single_predictor
from lbt_dspy.lms.account import Account
from lbt_dspy.lms.ledger import Ledger
from lbt_dspy.sampling import balanced, stream
from lbt_dspy.teleprompters import exemplar_moves as moves
from lbt_dspy.teleprompters.exemplar_checks import check_data
from lbt_dspy.teleprompters.exemplar_moves import Classroom
from lbt_dspy.teleprompters.exemplar_records import ExemplarSearch, ExemplarSet, Round, ScoredSet
from lbt_dspy.teleprompters.exemplar_scores import Metric, Selection, label_shares, score_sets


class LbTExemplars(Teleprompter):  # type: ignore[misc]
    """Learns the exemplars (demonstrations) of one predictor by teaching.

    Use it for classification, with some hundred labelled examples. It gains little where fewer than about 200
    selection examples are there: the noise of selection eats the gain.

    Args:
        metric: Set-level, `(golds, predictions) -> float`, e.g. `lbt_dspy.metrics.BinaryF1("1")`.
        exam_students: LMs that read the exemplars and sit the exams; their mistakes drive the revisions. The teacher
            itself may be among them.
        exemplars: K, size of an exemplar set, at least 1.
        rounds: Rounds of criticism and revision, at least 0; 0 returns the initial set.
        beam: Sets kept after a round, at least 1.
        init: `train`: the one initial set is drawn from the training set, balanced by label.
        minibatch: Training examples that the students answer in a round, at least 1.
        selection_examples: Examples on which sets are scored, at least 1; all there are when there are fewer. More
            cost more calls and make the choice less noisy: 400 or more.
        reflections: Groups of failure cases (so revisions) per kept set and round, at least 1.
        cases_per_reflection: Failure cases in a group, at least 1.
        max_new_sets: Most new sets per kept set and round, at least 1.
        selection: Who is scored: the `teacher` (the paper), or the mean over the `students`.
        balance: Draw minibatches and selection examples evenly over the labels, so that a rare label is measured
            too; scores are weighted back to the label shares of the data, on which F1 depends. False: as they come.
        label_field: The output field that holds the label; `None`: the predictor's last output field.
        predictor: Name of the predictor whose demonstrations are learned; `None` when the program has only one.
        grader: Decides whether a student's answer is a mistake; `None`: `ExactMatch(label_field)`.
        adapter: Any DSPy adapter; `None`: the configured one, or `ChatAdapter`.
        config: Sampling settings of sittings that an LM leaves open; `None`: `{"temperature": 0.0}`.
        writing: The same for the teacher's reflections and revisions; `None`: `{"temperature": 1.0}`.
        ledger: Pays for all calls, with journal, budget and workers; `None`: a new one in memory, without limits.
        seed: Seeds every draw; two runs with one seed are the same.

    Raises:
        UserError: An option is out of bounds.
    """

    def __init__(
        self,
        *,
        metric: Metric,
        exam_students: Sequence[dspy.LM],
        exemplars: int = 8,
        rounds: int = 5,
        beam: int = 4,
        init: str = "train",
        minibatch: int = 64,
        selection_examples: int = 400,
        reflections: int = 4,
        cases_per_reflection: int = 4,
        max_new_sets: int = 8,
        selection: str = "teacher",
        balance: bool = True,
        label_field: str | None = None,
        predictor: str | None = None,
        grader: Grader | None = None,
        adapter: dspy.Adapter | None = None,
        config: Mapping[str, Any] | None = None,
        writing: Mapping[str, Any] | None = None,
        ledger: Ledger | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not callable(metric):
            raise UserError(f"metric must be callable as metric(golds, predictions) but got {metric!r}")
        if not exam_students:
            raise UserError("exam_students is empty; give at least one dspy.LM, for instance the teacher itself")
        check_choice("init", init, ("train",))
        check_choice("selection", selection, ("teacher", "students"))
        for name, value in (
            ("exemplars", exemplars), ("beam", beam), ("minibatch", minibatch), ("reflections", reflections),
            ("selection_examples", selection_examples), ("cases_per_reflection", cases_per_reflection),
            ("max_new_sets", max_new_sets),
        ):  # fmt: skip
            check_at_least(name, value, 1, "see the docstring of LbTExemplars for its default")
        check_at_least("rounds", rounds, 0, "0 returns the initial set")
        self.metric = metric
        self.exam_students = tuple(exam_students)
        self.exemplars = exemplars
        self.rounds = rounds
        self.beam = beam
        self.init = init
        self.minibatch = minibatch
        self.selection_examples = selection_examples
        self.reflections = reflections
        self.cases_per_reflection = cases_per_reflection
        self.max_new_sets = max_new_sets
        self.selection = selection
        self.balance = balance
        self.label_field = label_field
        self.predictor = predictor
        self.grader = grader
        self.adapter = adapter
        self.config = {"temperature": 0.0} if config is None else dict(config)
        self.writing = {"temperature": 1.0} if writing is None else dict(writing)
        self.ledger = ledger
        self.seed = seed

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
    ) -> dspy.Module:
        """Return a copy of the program with the learned exemplars as demonstrations of one predictor.

        Args:
            student: The program (DSPy's word; in learning by teaching it is the teacher). It is not changed.
            trainset: Labelled examples: exemplars and minibatches are drawn from them.
            valset: Examples on which sets are scored; `None`: the training examples, of which a set is never scored
                on its own exemplars.

        Raises:
            UserError: The data does not fit the program or the options.
            BudgetSpentError: The next call could exceed the budget.
        """
        return self.search(student, trainset=trainset, valset=valset).program

    def search(
        self,
        program: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
        watch: Callable[[Round], None] | None = None,
    ) -> ExemplarSearch:
        """As `compile`, with the record of every round beside the program; `watch` is told of each round."""
        own_ledger = Ledger() if self.ledger is None else None
        try:
            room = self._classroom(program, trainset, valset, own_ledger or self.ledger)
            return self._search(room, program, list(trainset), list(trainset if valset is None else valset), watch)
        finally:
            if own_ledger is not None:
                own_ledger.close()

    def _search(
        self,
        room: Classroom,
        program: dspy.Module,
        pool: list[dspy.Example],
        candidates: list[dspy.Example],
        watch: Callable[[Round], None] | None,
    ) -> ExemplarSearch:
        chosen = self._selection(room, candidates)
        initial = moves.random_set(pool, self.exemplars, room.label_of, room.seed, 0)
        scored = tuple(self._score(room, [initial], chosen))
        rounds = [Round(number=0, beam=scored, scored=scored)]
        if watch is not None:
            watch(rounds[0])
        for number in range(1, self.rounds + 1):
            rounds.append(self._round(room, rounds, pool, chosen, number))
            if watch is not None:
                watch(rounds[-1])
        best = rounds[-1].beam[0].exemplar_set
        return ExemplarSearch(
            program=with_exemplars(program, room.examiner.name, best),
            rounds=tuple(rounds),
            calls=dict(room.account.calls),
            cost=room.account.cost,
        )

    def _round(
        self, room: Classroom, past: list[Round], pool: list[dspy.Example], chosen: Selection, number: int
    ) -> Round:
        """Examine the kept sets, group the failure cases, reflect, revise, score, select."""
        kept = [scored.exemplar_set for scored in past[-1].beam]
        minibatch = self._draw(room, pool, self.minibatch, "minibatch", number)
        cases, errors = moves.find_cases(room, kept, minibatch)
        groups = [
            moves.group_cases(c, self.reflections, self.cases_per_reflection, stream(room.seed, "groups", number, s))
            for s, c in enumerate(cases)
        ]
        proposals = moves.write_revisions(room, kept, groups, number)
        known = [scored.exemplar_set for r in past for scored in r.scored]
        fresh = moves.new_sets(proposals, known, self.max_new_sets, stream(room.seed, "new sets", number))
        scored = self._score(room, fresh, chosen)
        return Round(
            number=number,
            beam=moves.best_first([*past[-1].beam, *scored], self.beam),
            proposals=tuple(proposals),
            scored=tuple(scored),
            errors=errors,
        )

    def score_sets(
        self,
        program: dspy.Module,
        sets: Sequence[ExemplarSet],
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
        account: Account | None = None,
    ) -> list[ScoredSet]:
        """Score given sets exactly as a search with these options and data scores its own."""
        own_ledger = Ledger() if self.ledger is None else None
        try:
            room = self._classroom(program, trainset, valset, own_ledger or self.ledger)
            if account is not None:
                room = dataclasses.replace(room, account=account)
            candidates = list(trainset if valset is None else valset)
            return self._score(room, sets, self._selection(room, candidates))
        finally:
            if own_ledger is not None:
                own_ledger.close()

    def _selection(self, room: Classroom, candidates: Sequence[dspy.Example]) -> Selection:
        """Draw the examples on which all sets of a search are scored."""
        return Selection(
            examples=self._draw(room, candidates, self.selection_examples, "selection", 0),
            shares=label_shares(room, candidates),
        )

    def _score(self, room: Classroom, sets: Sequence[ExemplarSet], selection: Selection) -> list[ScoredSet]:
        return score_sets(room, sets, selection, self.metric, by_students=self.selection == "students")

    def _draw(
        self, room: Classroom, items: Sequence[dspy.Example], size: int, purpose: str, number: int
    ) -> list[dspy.Example]:
        rng = stream(room.seed, purpose, number)
        label_of = room.label_of if self.balance else (lambda example: 0)
        return balanced(items, size, label_of, rng)

    def _classroom(
        self,
        program: dspy.Module,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None,
        ledger: Ledger | None,
    ) -> Classroom:
        _, predictor, _ = single_predictor(program, self.predictor)
        teacher = predictor.lm or dspy.settings.lm
        if teacher is None:
            raise UserError("the program has no LM; set one with dspy.configure(lm=...) or program.set_lm(...)")
        field = self.label_field or list(predictor.signature.output_fields)[-1]
        input_fields, labels = check_data(
            trainset, valset, field, tuple(predictor.signature.input_fields), self.exemplars
        )
        examiner = Examiner(
            program,
            predictor=self.predictor,
            grader=ExactMatch(field) if self.grader is None else self.grader,
            ledger=Ledger() if ledger is None else ledger,
            adapter=self.adapter,
            config=self.config,
            seed=self.seed,
        )
        room = Classroom(
            examiner=examiner, teacher=teacher, students=self.exam_students, label_field=field, labels=labels,
            input_fields=input_fields, forbidden=frozenset(), account=Account(), writing=self.writing, seed=self.seed,
        )  # fmt: skip
        if valset is None:
            return room
        forbidden = frozenset(room.inputs_of(example) for example in valset)
        return dataclasses.replace(room, forbidden=forbidden)


def with_exemplars(program: dspy.Module, predictor: str, exemplar_set: ExemplarSet) -> dspy.Module:
    """Return a copy of the program with the exemplars as demonstrations of one predictor."""
    copy = program.deepcopy()
    dict(copy.named_predictors())[predictor].demos = [example.copy() for example in exemplar_set.exemplars]
    copy._compiled = True
    return copy
