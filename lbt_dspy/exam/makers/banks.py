"""Banks of problems: what the makers that choose from one share. No exam holds its teaching problem or a copy of it."""

from __future__ import annotations

import logging
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import dspy

from lbt_dspy.dspy_private import input_names
from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.sampling import stream
from lbt_dspy.types import ExamProblem

logger = logging.getLogger(__name__)
ORDERS = ("first", "random")


class _View(NamedTuple):
    """A maker's problems by the inputs that teaching problems share with them."""

    texts: list[tuple[str, ...]]
    """Of each problem of the bank; equal for copies."""
    kinds: list[str]
    """The fields of `about` of each: the same text may stand in the bank for two kinds."""
    known: dict[tuple[str, ...], dspy.Example]
    """The teaching problems that were given, by text."""


class BankMaker:
    """What makers with a bank of problems share: no copies, the asked number, the order.

    Args:
        bank: Problems with reference answers; `with_inputs(...)` must have been called on each.
        problems: Most problems of an exam, at least 1; `None`: all that fit.
        order: `first` takes them as they come, `random` draws them (seeded, for each teaching problem anew).
        seed: Seeds the draw.
        strict: Raise when fewer than `problems` fit (or none), instead of a warning, once.
        teaching: Teaching problems with their fields, where a program is called with its inputs alone.

    Raises:
        UserError: An option is out of bounds, the bank is empty, or a problem has no inputs.
    """

    about: tuple[str, ...] = ()

    def __init__(
        self,
        bank: Iterable[dspy.Example],
        *,
        problems: int | None = None,
        order: str = "first",
        seed: int = 0,
        strict: bool = False,
        teaching: Iterable[dspy.Example] = (),
    ) -> None:
        self.bank = tuple(bank)
        if not self.bank:
            raise UserError(f"the bank of {type(self).__name__} is empty; give problems with reference answers")
        if problems is not None:
            check_at_least("problems", problems, 1, "leave it out for all that fit")
        check_choice("order", order, ORDERS)
        for i, example in enumerate(self.bank):
            if not input_names(example):
                raise UserError(f"problem {i} of the bank has no inputs; call .with_inputs(...) on it")
        self.most = problems
        self.order = order
        self.seed = seed
        self.strict = strict
        self._teaching = tuple(teaching)
        self._views: dict[tuple[str, ...], _View] = {}
        self._warned = False

    @property
    def labels(self) -> frozenset[str]:
        """Fields of the bank's problems that are no inputs."""
        return frozenset(self.bank[0].labels().keys())

    @abstractmethod
    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return the places in the bank, among `others`, of the problems that fit, best first."""

    def problems(self, teaching: dspy.Example) -> list[ExamProblem]:
        """Return the exam problems of a teaching problem."""
        names = self._shared_names(teaching)
        text, view = plain_inputs(teaching, names), self._view(names)
        if text in view.known:
            teaching = dspy.Example({**view.known[text], **teaching}).with_inputs(*_marked(teaching))
        others = _first_of_each(
            (i for i, other in enumerate(view.texts) if other != text), lambda i: (view.texts[i], view.kinds[i])
        )
        places = _first_of_each(self.fitting(teaching, others), view.texts.__getitem__)
        if self.order == "random":
            places = [places[i] for i in stream(self.seed, "exam", text).permutation(len(places))]
        places = places[: self.most]
        if not places or len(places) < (self.most or 0):
            self._too_few(len(places), str(teaching.get("question") or " ".join(text)))
        strange = set(self.about) - _marked(teaching)
        return [ExamProblem(example=self.bank[i].with_inputs(*(_marked(self.bank[i]) - strange))) for i in places]

    def _shared_names(self, teaching: dspy.Example) -> tuple[str, ...]:
        """Return the inputs by which copies of a teaching problem are known."""
        asked, marked = _marked(teaching), _marked(self.bank[0])
        if not asked & marked:
            raise UserError(
                f"the bank's problems have the inputs {', '.join(sorted(marked))} but the program is called with "
                f"{', '.join(sorted(asked))}; name them alike"
            )
        return tuple(sorted(asked & marked))

    def _view(self, names: tuple[str, ...]) -> _View:
        if names not in self._views:
            self._views[names] = _View(
                [plain_inputs(example, names) for example in self.bank],
                [repr([example.get(name) for name in self.about]) for example in self.bank],
                {plain_inputs(example, names): example for example in self._teaching},
            )
        return self._views[names]

    def field(self, teaching: dspy.Example, name: str) -> Any:
        """Return a field of the teaching problem.

        Raises:
            UserError: It is not known.
        """
        if name not in teaching:
            raise UserError(
                f"the teaching problem has no field {name!r}, by which {type(self).__name__} chooses its exam: call "
                f"the program with {name}=..., or give {type(self).__name__} the teaching problems as teaching="
            )
        return teaching[name]

    def _too_few(self, found: int, text: str) -> None:
        start = " ".join(text.split())[:60]
        what = f"{found} exam problems, {self.most or 'at least 1'} asked for, for the teaching problem {start!r}..."
        if self.strict:
            raise UserError(f"{type(self).__name__} found {what}; give a larger bank or ask for fewer problems")
        if not self._warned:
            self._warned = True
            logger.warning("%s found %s (there may be more such; said once)", type(self).__name__, what)


def plain_inputs(example: dspy.Example, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the texts of an example's inputs without case, layout and compatibility forms: equal for copies.

    Args:
        example: Its inputs are marked.
        names: Which inputs; `None`: all.
    """
    chosen = sorted(example.inputs().keys()) if names is None else names
    return tuple(_plain(str(example.get(name, ""))) for name in chosen)


def _marked(example: dspy.Example) -> set[str]:
    """Return the names of an example's inputs."""
    return input_names(example) or set()


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _first_of_each(places: Iterable[int], key: Callable[[int], Hashable]) -> list[int]:
    """Return the places without those whose key came before."""
    found: dict[Hashable, int] = {}
    for place in places:
        found.setdefault(key(place), place)
    return list(found.values())


def check_fields(bank: Sequence[dspy.Example], names: Sequence[str]) -> None:
    """Raise `UserError` unless all problems of a bank have the fields."""
    for i, example in enumerate(bank):
        for name in names:
            if name not in example:
                known = ", ".join(example.keys())
                raise UserError(f"problem {i} of the bank has no field {name!r}, only {known}")
