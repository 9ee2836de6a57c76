"""Exam makers: which problems make the exam of a teaching problem.

Ning et al. (NeurIPS 2024, arXiv 2406.14629) use functional variants of the teaching problem, its nearest neighbours,
and problems of the same kind. Whatever the maker, the teaching problem and copies of it are never in its exam.
"""

from __future__ import annotations

import copy
import logging
import operator
import threading
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import dspy

from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.lms.user_lm import public_settings
from lbt_dspy.sampling import stream
from lbt_dspy.types import ExamProblem

logger = logging.getLogger(__name__)
ORDERS = ("first", "random")
LEVELS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class ExamMaker(Protocol):
    """Makes exams; thread-safe."""

    about: tuple[str, ...]
    """Fields of a teaching problem, beyond its inputs, that choose the exam; a program is called with them too."""

    def problems(self, teaching: dspy.Example) -> Sequence[ExamProblem]:
        """Return the exam problems of a teaching problem: never itself or a copy of it, none of them twice.

        Args:
            teaching: Its inputs, and the fields of `about` as far as they are known.

        Raises:
            UserError: The exam cannot be made.
        """


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
            if not example._input_keys:
                raise UserError(f"problem {i} of the bank has no inputs; call .with_inputs(...) on it")
        self.most = problems
        self.order = order
        self.seed = seed
        self.strict = strict
        self._inputs = {name for example in self.bank for name in example._input_keys}
        self._texts = [plain_inputs(example) for example in self.bank]
        self._known = {plain_inputs(self._as_in_bank(example)): example for example in teaching}
        self._warned = False

    @abstractmethod
    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return the places in the bank, among `others`, of the problems that fit, best first."""

    def problems(self, teaching: dspy.Example) -> list[ExamProblem]:
        """Return the exam problems of a teaching problem."""
        teaching = self._as_in_bank(teaching)
        text = plain_inputs(teaching)
        known = self._known.get(text)
        if known is not None:
            teaching = dspy.Example({**known, **teaching}).with_inputs(*teaching._input_keys)
        first_places = {other: place for place, other in reversed(list(enumerate(self._texts)))}
        others = sorted(place for other, place in first_places.items() if other != text)
        places = list(self.fitting(teaching, others))
        if self.order == "random":
            places = [places[i] for i in stream(self.seed, "exam", text).permutation(len(places))]
        places = places[: self.most]
        if not places or len(places) < (self.most or 0):
            self._too_few(len(places), teaching)
        return [ExamProblem(example=self.bank[place]) for place in places]

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

    def _as_in_bank(self, teaching: dspy.Example) -> dspy.Example:
        """Return the teaching problem without inputs that no problem of the bank has: copies are told by the others."""
        shared = [name for name in teaching.inputs().keys() if name in self._inputs]
        return teaching.with_inputs(*shared) if shared else teaching

    def _too_few(self, found: int, teaching: dspy.Example) -> None:
        start = " ".join(plain_inputs(teaching))[:60]
        what = f"{found} exam problems, {self.most or 'at least 1'} asked for, for the teaching problem {start!r}..."
        if self.strict:
            raise UserError(f"{type(self).__name__} found {what}; give a larger bank or ask for fewer problems")
        if not self._warned:
            self._warned = True
            logger.warning("%s found %s (there may be more such; said once)", type(self).__name__, what)


class Fixed(BankMaker):
    """The same problems for every teaching problem."""

    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return all."""
        return others


class Variants(BankMaker):
    """Functional variants of the teaching problem: those that share its key (the paper's exam for MATH).

    Args:
        bank: As in `BankMaker`, as are the other options.
        key: The field that a problem and its variants share.
    """

    def __init__(self, bank: Iterable[dspy.Example], key: str = "unique_id", **options: Any) -> None:
        super().__init__(bank, **options)
        self.key = key
        self.about = (key,)
        _check_fields(self.bank, (key,))

    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return the problems with the teaching problem's key."""
        wanted = self.field(teaching, self.key)
        return [place for place in others if self.bank[place][self.key] == wanted]


class SameKind(BankMaker):
    """Problems that agree with the teaching problem in some fields, and compare with it in level.

    Args:
        bank: As in `BankMaker`, as are the other options.
        fields: Fields that must be equal, e.g. `("subject",)`.
        level: `=`, `<`, `>`, `<=`, `>=` compare a problem's level with the teaching problem's (`<`: easier exams); a
            number asks for that level; `None`: any.
        level_field: The field with the level, a number.
    """

    def __init__(
        self,
        bank: Iterable[dspy.Example],
        fields: Sequence[str] = ("subject",),
        level: str | int | None = "=",
        *,
        level_field: str = "level",
        **options: Any,
    ) -> None:
        super().__init__(bank, **options)
        if isinstance(level, str):
            check_choice("level", level, tuple(LEVELS))
        self.fields = (fields,) if isinstance(fields, str) else tuple(fields)
        self.level = level
        self.level_field = level_field
        self.about = (*self.fields, *((level_field,) if isinstance(level, str) else ()))
        _check_fields(self.bank, (*self.fields, *(() if level is None else (level_field,))))

    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return the problems of the same kind."""
        kind = [self.field(teaching, name) for name in self.fields]
        fits = self._level_test(teaching)
        return [
            place
            for place in others
            if [self.bank[place][name] for name in self.fields] == kind and fits(self.bank[place])
        ]

    def _level_test(self, teaching: dspy.Example) -> Callable[[dspy.Example], bool]:
        if self.level is None:
            return lambda problem: True
        if not isinstance(self.level, str):
            return lambda problem: bool(problem[self.level_field] == self.level)
        compare, own = LEVELS[self.level], self.field(teaching, self.level_field)
        return lambda problem: compare(problem[self.level_field], own)


class Nearest(BankMaker):
    """The k problems whose text is nearest to the teaching problem's, by cosine.

    Args:
        bank: As in `BankMaker`, as are the other options; its problems must have at least one input that the teaching
            problem has too.
        k: How many, at least 1. (The paper uses the 2 nearest by all-mpnet-base-v2.)
        embedder: Any `dspy.Embedder`, or a function from texts to an array of shape (texts, dimensions); `None`:
            TF-IDF of words, fitted on the bank.
    """

    def __init__(
        self,
        bank: Iterable[dspy.Example],
        k: int = 3,
        embedder: Callable[[list[str]], Any] | None = None,
        **options: Any,
    ) -> None:
        check_at_least("k", k, 1, "it is the number of neighbours")
        super().__init__(bank, **{"problems": k, **options})
        self.k = k
        self.embedder = embedder
        self._lock = threading.Lock()
        self._fitted: tuple[Callable[[list[str]], Any], Any] | None = None

    def fitting(self, teaching: dspy.Example, others: Sequence[int]) -> Iterable[int]:
        """Return the nearest, most similar first."""
        embed, bank = self._index()
        query = embed([" ".join(plain_inputs(teaching))])
        likeness = (bank @ query.T).toarray().ravel() if hasattr(bank, "toarray") else (bank @ query.T).ravel()
        return sorted(others, key=lambda place: (-round(float(likeness[place]), 9), place))[: self.k]

    def _index(self) -> tuple[Callable[[list[str]], Any], Any]:
        """Return the embedding and the embedded bank, made at the first use."""
        from sklearn.preprocessing import normalize

        with self._lock:
            if self._fitted is None:
                texts = [" ".join(text) for text in self._texts]
                if self.embedder is None:
                    from sklearn.feature_extraction.text import TfidfVectorizer

                    tfidf = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
                    self._fitted = (tfidf.transform, tfidf.fit_transform(texts))
                else:
                    given = self.embedder
                    self._fitted = (lambda asked: normalize(given(asked)), normalize(given(texts)))
            return self._fitted

    def __deepcopy__(self, memo: dict[int, Any]) -> Nearest:
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave keys out of pickles; the index is made anew."""
        embedder = copy.copy(self.embedder)
        if isinstance(embedder, dspy.Embedder):
            embedder.default_kwargs = public_settings(embedder.default_kwargs)
        return {**self.__dict__, "embedder": embedder, "_lock": None, "_fitted": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def plain_inputs(example: dspy.Example) -> tuple[str, ...]:
    """Return the input texts of an example without case, layout and compatibility forms: equal for copies."""
    inputs = example.inputs()
    return tuple(_plain(str(inputs[name])) for name in sorted(inputs.keys()))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _check_fields(bank: Sequence[dspy.Example], names: Sequence[str]) -> None:
    for i, example in enumerate(bank):
        for name in names:
            if name not in example:
                known = ", ".join(example.keys())
                raise UserError(f"problem {i} of the bank has no field {name!r}, only {known}")
