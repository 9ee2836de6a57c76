"""M3: improve the in-context exemplars of a classifier by teaching.

Ning et al., "Can LLMs Learn by Teaching for Better Reasoning? A Preliminary Study", NeurIPS 2024, arXiv 2406.14629,
section on learning from the feedback iteratively; its loop stands on Pryzant et al., arXiv 2305.03495.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dspy
from dspy.teleprompt import Teleprompter

from lbt_dspy.dspy_private import set_compiled
from lbt_dspy.errors import UserError
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.exam.sitting.whole_program import single_predictor
from lbt_dspy.exam.students import as_lms
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.own import OwnLedger
from lbt_dspy.ledger.plan import CallPlan
from lbt_dspy.lms.fleet.sections import warn_once
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.signatures import declared_type
from lbt_dspy.teleprompters.exemplars.checks import all_labels, check_data, check_golds, probabilities_wanted
from lbt_dspy.teleprompters.exemplars.context import SearchContext
from lbt_dspy.teleprompters.exemplars.limits import larger_than_data, limits_of
from lbt_dspy.teleprompters.exemplars.metrics import set_level
from lbt_dspy.teleprompters.exemplars.options import ExemplarOptions
from lbt_dspy.teleprompters.exemplars.plan import plan_of
from lbt_dspy.teleprompters.exemplars.records import ExemplarSearch, ExemplarSet, Found, Round, ScoredSet
from lbt_dspy.teleprompters.exemplars.scores import Selection, label_shares
from lbt_dspy.teleprompters.exemplars.searches.beam import beam_search
from lbt_dspy.teleprompters.exemplars.searches.tpe import tpe_search
from lbt_dspy.teleprompters.exemplars.searches.utility import utility_search
from lbt_dspy.teleprompters.exemplars.task import Task
from lbt_dspy.types import ExamProblem

POLICIES: Mapping[str, Callable[[Task], Found]] = {
    "beam": beam_search,
    "utility": utility_search,
    "tpe": tpe_search,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class LbTExemplars(ExemplarOptions, Teleprompter):  # type: ignore[misc]
    """Learns the exemplars (demonstrations) of one predictor by teaching.

    Use it for classification, with some hundred labelled examples. It gains little where fewer than about 200
    selection examples are there: the noise of selection eats the gain. See docs/m3.md for its knobs.

    Args:
        metric: Set-level, `(golds, predictions) -> float`, e.g. `lbt_dspy.metrics.BinaryF1("1")`, or a metric of
            DSPy, `(example, prediction, trace=None)`, which is used as its mean; tried on one example before any call.
        exam_students: LMs, or names as on the command line, that read the exemplars and sit the exams; their mistakes
            drive the revisions. The teacher itself may be among them.
        exemplars: K, size of an exemplar set, at least 1. Sets cover all labels where K allows.
        rounds: Rounds of criticism and revision, at least 0; 0 returns the initial set.
        search: `utility` credits each exemplar with what it adds to the exam scores of sets and examines the sets that
            Thompson sampling proposes; `beam` is the paper's loop, which keeps the best whole sets; `tpe` is an Optuna
            study that several processes can share.
            A function of one's own, `(task) -> Found`, may stand in its place; `searches/beam.py` shows what it does.
        init: Where the initial set comes from. `train`: a random draw from the training set, balanced by label;
            `generate`: the teacher writes it from the task's question alone.
        evaluations: The most evaluations (one set on one selection example) that scoring may use, at least three
            times the selection examples. `None`: as many as `beam` needs at most with these options and the full
            evaluator (half of it with another one).
        selection_examples: Examples on which sets are scored, at least 1; all there are when there are fewer. More
            make the choice less noisy: 400 or more.
        minibatch: Training examples that the students answer in a round, at least 1.
        reflections: Groups of failure cases (so revisions) per criticised set and round, at least 1.
        cases_per_reflection: Failure cases in a group, at least 1.
        reflection_mix: Reflections that are combined for one revision, at least 1; their cases are drawn anew.
        typed_feedback: Ask the teacher for the kind of each mistake (missed cue, false cue, label confusion,
            off-topic); reflections of one kind are then combined, and kinds are counted per round.
        beam: Sets kept after a round, at least 1. `utility` scores twice as many on all selection examples at its end.
        max_new_sets: Most new sets per kept set and round, at least 1.
        evaluator: How `beam` scores sets within `evaluations`: `full`, or `halving`, `rejects`, `ucb`, which spend more
            on the better ones, or an `Evaluator` of one's own (see `searches/evaluators.py`).
        paraphrases: How often the teacher says each new set of `beam` in other words, at least 0.
        pool: Exemplars among which `utility` chooses at a time, at least `exemplars`.
        draw: Selection examples in one exam of `utility`, at least 1; each draw is a fresh one. `None`: an eighth of
            the selection examples, but not fewer than 25.
        storage: Where `tpe` keeps its study: an Optuna storage, a database URL, or a file that several processes
            share; `None`: in memory.
        selection: Who is scored: the `teacher` (the paper), or the mean over the `students`.
        scoring: `auto`: by the metric, but where LMs are known to give log-probabilities and the metric can make use of
            them (all of `lbt_dspy.metrics` can), the small exams of `utility` are scored by the expected metric, which
            is less noisy; `metric`: by the metric alone; `likelihood`: by the mean log-likelihood of the right label.
        balance: Draw minibatches and selection examples evenly over the labels, so that a rare label is measured
            too; scores are weighted back to the label shares of the data, on which F1 depends. False: as they come.
        label_field: The output field that holds the label; `None`: the predictor's last output field.
        predictor: Name of the predictor whose demonstrations are learned; `None` when the program has only one.
        grader: Decides whether a student's answer is a mistake; `None`: `ExactMatch(label_field)`.
        adapter: Any DSPy adapter; `None`: the configured one, or `ChatAdapter`.
        config: Sampling settings of sittings that an LM leaves open; `{"temperature": 0.0}` unless given.
        writing: The same for the teacher's own texts; `{"temperature": 1.0}` unless given.
        ledger: Pays for all calls, with journal, budget and workers; `None`: a new one in memory for each `compile`.
        budget: Limits all calls of one `compile`; not beside `ledger`.
        lm_config: A LiteLLM YAML for students given by name.
        seed: Seeds every draw. Two runs with one seed are the same, whatever the number of workers, but for a `tpe`
            study with a storage, whose trials depend on who else works on it.

    Raises:
        UserError: An option is out of bounds, or the chosen search would not use it.

    Example:
        >>> import dspy
        >>> from lbt_dspy import LbTExemplars, classification
        >>> from lbt_dspy.lms.embedded import embedded_lm
        >>> from lbt_dspy.metrics import Accuracy
        >>> texts = {"Yes": ("kind day", "calm song", "sweet soup"), "No": ("sour soup", "dull day", "harsh song")}
        >>> train = [dspy.Example(text=t, label=l).with_inputs("text") for l, found in texts.items() for t in found]
        >>> program = dspy.Predict(classification("Is it good?", ("Yes", "No")))
        >>> program.lm = embedded_lm("embedded/teacher")  # a statistical model; any dspy.LM will do
        >>> optimiser = LbTExemplars(metric=Accuracy(("Yes", "No")), exam_students=["embedded/words"], exemplars=4)
        >>> compiled = optimiser.compile(program, trainset=train)
        >>> len(compiled.demos), compiled(text="a kind song").label
        (4, 'Yes')
    """

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
        return self.optimize(student, trainset=trainset, valset=valset).program

    def optimize(
        self,
        program: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
        watch: Callable[[Round], None] | None = None,
    ) -> ExemplarSearch:
        """As `compile`, with the record of every round beside the program; `watch` is told of each round."""
        with self._task(program, trainset, valset, watch=watch) as task:
            search = self.search if callable(self.search) else POLICIES[self.search]
            found = search(task)
            best = found.rounds[-1].beam[0].exemplar_set
            return ExemplarSearch(
                program=with_exemplars(program, task.context.examiner.name, best),
                rounds=found.rounds,
                values=found.values,
                study=found.study,
                calls=dict(task.context.account.calls),
                cost=task.context.account.cost,
                shared_calls=found.calls,
            )

    def plan(
        self,
        program: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
    ) -> CallPlan:
        """Return the most calls that `compile` can make with these options and data, and what they cost; make none.

        Raises:
            UserError: As `compile` does.
        """
        with self._task(program, trainset, valset) as task:
            return plan_of(task)

    def score_sets(
        self,
        program: dspy.Module,
        sets: Sequence[ExemplarSet],
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
        account: Account | None = None,
    ) -> list[ScoredSet]:
        """Score given sets on all selection examples, exactly as a search with these options and data does."""
        with self._task(program, trainset, valset, account=account) as task:
            return task.score(sets)

    @contextlib.contextmanager
    def _task(
        self,
        program: dspy.Module,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None,
        *,
        account: Account | None = None,
        watch: Callable[[Round], None] | None = None,
    ) -> Iterator[Task]:
        """Set the task up; a ledger that was not given is made for it, and closed after it."""
        ledger = OwnLedger(self.ledger, self.budget).ledger
        try:
            context = self._context(program, trainset, valset, ledger, Account() if account is None else account)
            candidates = list(trainset if valset is None else valset)
            for name, said in larger_than_data(self, len(trainset), len(candidates)).items():
                if getattr(self, name) != getattr(ExemplarOptions, name):  # nobody asked for a default
                    warn_once(said)
            whole = Selection(examples=candidates, shares=label_shares(context, candidates))
            task = Task(context=context, options=self, train=list(trainset), selection=whole, watch=watch)
            drawn = task.draw(candidates, self.selection_examples, "selection", 0)
            limits_of(self, len(drawn))  # refuses evaluations that are too few, before any call
            yield dataclasses.replace(task, selection=dataclasses.replace(whole, examples=drawn))
        finally:
            if self.ledger is None:
                ledger.close()

    def _context(
        self,
        program: dspy.Module,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None,
        ledger: Ledger,
        account: Account,
    ) -> SearchContext:
        _, predictor, alone = single_predictor(program, self.predictor)
        teacher = predictor.lm or dspy.settings.lm
        if teacher is None:
            raise UserError("the program has no LM; set one with dspy.configure(lm=...) or program.set_lm(...)")
        if (self.init == "generate" or self.paraphrases) and not engine_of(teacher).writes_texts:
            raise UserError(
                f"{teacher.model} is a statistical model and writes no texts of its own: init='generate' and "
                "paraphrases need a language model as teacher"
            )
        field = self.label_field or list(predictor.signature.output_fields)[-1]
        input_fields, seen = check_data(
            trainset, valset, field, tuple(predictor.signature.input_fields), self.exemplars,
            declared_type(predictor.signature, field),
        )  # fmt: skip
        check_golds(self.metric, trainset, valset)
        labels = all_labels(predictor, field, seen)
        metric = set_level(self.metric, trainset[0], list(predictor.signature.output_fields) if alone else [field])
        students = as_lms(self.exam_students, self.lm_config)
        readers = [teacher] if self.selection == "teacher" else students
        asked, soft = probabilities_wanted(self, metric, readers, alone=alone)
        examiner = Examiner(
            program, predictor=self.predictor, grader=ExactMatch(field) if self.grader is None else self.grader,
            ledger=ledger, adapter=self.adapter, config=self.config, seed=self.seed,
            labels=labels, probabilities_of=field if asked else None,
        )  # fmt: skip
        examiner.check([ExamProblem(example=example) for example in (*trainset, *(valset or ()))], students)
        context = SearchContext(
            examiner=examiner, teacher=teacher, students=students, label_field=field, labels=labels,
            input_fields=input_fields, forbidden=frozenset(), metric=metric, soft=soft, account=account,
            writing=self.writing, seed=self.seed,
        )  # fmt: skip
        return dataclasses.replace(context, forbidden=frozenset(map(context.inputs_of, valset or ())))


def with_exemplars(program: dspy.Module, predictor: str, exemplar_set: ExemplarSet) -> dspy.Module:
    """Return a copy of the program with the exemplars as demonstrations of one predictor."""
    copy = program.deepcopy()
    dict(copy.named_predictors())[predictor].demos = [example.copy() for example in exemplar_set.exemplars]
    set_compiled(copy, True)
    return copy
