"""One run of the race: a method, a task, a seed and a number of model calls."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dspy

from lbt_dspy.benchmarks.shared.held_out import answers_line
from lbt_dspy.benchmarks.studies.race.rivals import run_rival
from lbt_dspy.benchmarks.tasks.classification.data import LabelledData, labelled_data, load_data
from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask, clean
from lbt_dspy.errors import UserError
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.metrics.labels import LabelMetric, default_metric
from lbt_dspy.sampling import balanced, stream
from lbt_dspy.teleprompters.exemplars.choices import SearchName
from lbt_dspy.teleprompters.exemplars.limits import LEAST_SCORINGS, limits_of
from lbt_dspy.teleprompters.exemplars.moves import random_set
from lbt_dspy.teleprompters.exemplars.optimizer import LbTExemplars
from lbt_dspy.types import Exam, ExamProblem

TASKS = ("shipped", "edu", "liar", "three")
SHARES = (1 / 9, 1 / 3, 1.0)
"""Each method runs with these shares of the calls."""
SEARCHES = ("utility", "beam", "tpe")
METHODS = ("random-search", "few-shot", "bootstrap-rs", "mipro", *(f"lbt-{name}" for name in SEARCHES))
TEACHER = "embedded/teacher"
STUDENTS = ("embedded/words", "embedded/bayes", "embedded/chars")
THREE = ("faulty generalization", "ad hominem", "ad populum")
THREE_QUESTION = "Which logical fallacy does this text commit: faulty generalization, ad hominem or ad populum?"
Material = tuple[dspy.Example, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """The outcome of one run."""

    task: str
    method: str
    seed: int
    share: float
    """Of the calls of the race."""
    calls: int
    """Model calls that it took."""
    answers: str
    """Of the teacher with the found exemplars on the held-out examples, as in results.json."""


@dataclass(frozen=True, kw_only=True)
class Stable:
    """What the methods of one task and seed share."""

    data: LabelledData
    seed: int
    teacher: dspy.LM
    students: Sequence[dspy.LM]
    program: dspy.Module
    metric: LabelMetric

    def optimizer(self, search: str, calls: int | None = None) -> LbTExemplars:
        """Return the optimiser with its defaults, within a number of model calls."""
        plain = LbTExemplars(
            metric=self.metric, exam_students=self.students, search=cast(SearchName, search), seed=self.seed
        )
        if calls is None:
            return plain
        limits = limits_of(plain, self.selection)
        other = limits.written + limits.examined * min(plain.minibatch, len(self.data.train)) * len(self.students)
        return dataclasses.replace(plain, evaluations=max(LEAST_SCORINGS * self.selection, calls - other))

    @property
    def selection(self) -> int:
        """How many selection examples there are."""
        return min(LbTExemplars.selection_examples, len(self.data.train))

    @property
    def calls(self) -> int:
        """The model calls of the race: as many as the paper's loop takes at most with the defaults."""
        limits = limits_of(self.optimizer("beam"), self.selection)
        return limits.evaluations


def load_task(name: str, folder: str | None) -> LabelledData:
    """Load a task of the race.

    Args:
        name: One of `TASKS`.
        folder: Holds the folders `fallacy` and `liar`; `shipped` needs none.

    Raises:
        UserError: The data is not there.
    """
    if name == "shipped":
        return load_data("fallacy", None, ())
    if folder is None:
        raise UserError(f"--tasks {name} needs --data DIR (or LBT_DATA_DIR) with the folders fallacy and liar")
    if name == "edu":
        return load_data("fallacy", str(Path(folder) / "fallacy"), ("config=edu",))
    if name == "liar":
        return load_data("liar", str(Path(folder) / "liar"), ())
    return _three_classes(Path(folder) / "fallacy")


def _three_classes(folder: Path) -> LabelledData:
    """Make a three-class task of the fallacies that are the commonest in the edu part of LOGIC."""
    pairs: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for split in ("train", "test", "dev"):
        try:
            lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise UserError(f"{folder}/{split}.jsonl cannot be read ({error.strerror}); see --data") from None
        rows = [json.loads(line) for line in lines if line.strip()]
        pairs[split] = [
            ((row["text"],), row["logical_fallacies"])
            for row in rows
            if row["config"] == "edu" and row["logical_fallacies"] in THREE
        ]
    train, test, dropped = clean(pairs["train"], pairs["test"] + pairs["dev"])
    task = ClassificationTask(name="three", question=THREE_QUESTION, labels=tuple(sorted(THREE)), positive=None)
    return labelled_data(task, "fallacy", train, test, dropped)


@functools.cache
def loaded(name: str, folder: str | None) -> LabelledData:
    """Load a task once."""
    return load_task(name, folder)


def run_method(task: str, folder: str | None, method: str, seed: int) -> list[Run]:
    """Run a method with each share of the calls, and examine what it found on the held-out examples."""
    data = loaded(task, folder)
    teacher, *students = LMRoles().lms([TEACHER, *STUDENTS])
    program = data.task.program()
    program.lm = teacher
    metric = default_metric(data.task.labels, data.task.positive, data.task.output)
    stable = Stable(data=data, seed=seed, teacher=teacher, students=students, program=program, metric=metric)
    find: Callable[[Stable, str], Iterator[tuple[float, int, Material]]]
    find = _ours if method.startswith("lbt-") else _random_search if method == "random-search" else _rival
    return [
        Run(task=task, method=method, seed=seed, share=share, calls=calls, answers=_examined(stable, material))
        for share, calls, material in find(stable, method)
    ]


def _ours(stable: Stable, method: str) -> Iterator[tuple[float, int, Material]]:
    for share in SHARES:
        optimizer = stable.optimizer(method.removeprefix("lbt-"), int(share * stable.calls))
        found = optimizer.optimize(stable.program, trainset=stable.data.train)
        yield share, sum(found.calls.values()), found.best.exemplar_set.exemplars


def _random_search(stable: Stable, method: str) -> Iterator[tuple[float, int, Material]]:
    """Score random sets on the selection examples, and take the best so far."""
    label = stable.data.task.output
    optimizer = stable.optimizer("beam")
    count = stable.calls // stable.selection
    sets = [
        random_set(stable.data.train, optimizer.exemplars, lambda e: str(e[label]), stable.seed, i)
        for i in range(count)
    ]
    scored = optimizer.score_sets(stable.program, sets, trainset=stable.data.train)
    for share in SHARES:
        within = scored[: max(1, int(share * stable.calls) // stable.selection)]
        best = max(within, key=lambda s: s.rank)
        yield share, len(within) * stable.selection, best.exemplar_set.exemplars


def _rival(stable: Stable, method: str) -> Iterator[tuple[float, int, Material]]:
    """Give one of DSPy's optimisers a validation set apart from its training set, drawn as our selection examples."""
    task, train = stable.data.task, stable.data.train
    size = min(stable.selection, len(train) // 2)
    valset = balanced(train, size, lambda e: e[task.output], stream(stable.seed, "validation set"))
    chosen = set(map(id, valset))
    trainset = [example for example in train if id(example) not in chosen]
    for share in SHARES:
        found = run_rival(
            method, stable.program, stable.teacher, trainset=trainset, valset=valset, exemplars=LbTExemplars.exemplars,
            calls=int(share * stable.calls), seed=stable.seed,
        )  # fmt: skip
        if found:
            yield share, found[-1].calls, tuple(found[-1].program.demos)


def _examined(stable: Stable, material: Material) -> str:
    """Let the teacher answer the held-out examples after the exemplars."""
    task = stable.data.task
    ledger = Ledger(workers=1)
    examiner = Examiner(
        stable.program, grader=ExactMatch(task.output), ledger=ledger, config={"temperature": 0.0}, seed=stable.seed
    )
    exam = Exam(material=material, problems=[ExamProblem(example=example) for example in stable.data.test])
    ((report,),) = examiner.examine([exam], [stable.teacher], role="teacher")
    ledger.close()
    fields = [row[0].fields for row in report.sittings]
    answers = [None if found is None else str(found[task.output]) for found in fields]
    return answers_line(answers, task.labels)
