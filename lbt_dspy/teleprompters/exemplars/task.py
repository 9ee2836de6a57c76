"""What a search is given, and what it may do with it: draw, score, say what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dspy

from lbt_dspy.sampling import balanced, stream
from lbt_dspy.teleprompters.exemplars.context import SearchContext
from lbt_dspy.teleprompters.exemplars.limits import limits_of
from lbt_dspy.teleprompters.exemplars.moves import random_set
from lbt_dspy.teleprompters.exemplars.options import ExemplarOptions
from lbt_dspy.teleprompters.exemplars.records import ExemplarSet, Round, ScoredSet
from lbt_dspy.teleprompters.exemplars.scores import Selection, score_sets, scorer
from lbt_dspy.teleprompters.exemplars.writing import generate


@dataclass(frozen=True, kw_only=True)
class Task:
    """One search: its options, its data, its classroom."""

    context: SearchContext
    options: ExemplarOptions
    train: Sequence[dspy.Example]
    """Where exemplars and minibatches come from."""
    selection: Selection
    """The examples on which sets are scored."""
    watch: Callable[[Round], None] | None = None

    @property
    def evaluations(self) -> int:
        """The most evaluations (one set on one selection example) that scoring may use."""
        return limits_of(self.options, len(self.selection.examples)).evaluations

    def initial_set(self) -> ExemplarSet:
        """Return the set that every search starts from."""
        first = random_set(self.train, self.options.exemplars, self.context.label_of, self.context.seed, 0)
        return first if self.options.init == "train" else generate(self.context, first)

    def minibatch(self, number: int) -> list[dspy.Example]:
        """Return the training examples that students answer in a round."""
        return self.draw(self.train, self.options.minibatch, "minibatch", number)

    def draw(self, items: Sequence[dspy.Example], size: int, *purpose: object) -> list[dspy.Example]:
        """Draw examples, evenly over the labels unless told otherwise."""
        label_of = self.context.label_of if self.options.balance else (lambda example: 0)
        return balanced(items, size, label_of, stream(self.context.seed, *purpose))

    def score(self, sets: Sequence[ExemplarSet], examples: Sequence[dspy.Example] | None = None) -> list[ScoredSet]:
        """Score sets on the given selection examples, or on all of them."""
        kind = "likelihood" if self.options.scoring == "likelihood" else "metric"
        return self._score(sets, self.selection.examples if examples is None else examples, kind, variance=False)

    def examine(self, sets: Sequence[ExemplarSet], examples: Sequence[dspy.Example]) -> list[ScoredSet]:
        """Score sets on a few examples as finely as can be, with the scores' variance."""
        kind = "likelihood" if self.options.scoring == "likelihood" else "expected" if self.context.soft else "metric"
        return self._score(sets, examples, kind, variance=True)

    def _score(
        self, sets: Sequence[ExemplarSet], examples: Sequence[dspy.Example], kind: str, *, variance: bool
    ) -> list[ScoredSet]:
        shares = self.selection.shares
        return score_sets(
            self.context, sets, Selection(examples=examples, shares=shares),
            scorer(self.context, self.context.metric, shares, kind),
            by_students=self.options.selection == "students", variance=variance,
        )  # fmt: skip

    def tell(self, done: Round) -> Round:
        """Let the watcher know of a round."""
        if self.watch is not None:
            self.watch(done)
        return done
