"""Exam makers: which problems make the exam of a teaching problem.

Ning et al. (NeurIPS 2024, arXiv 2406.14629) use functional variants of the teaching problem, its nearest neighbours,
and problems of the same kind. Whatever the maker, the teaching problem and copies of it are never in its exam.
"""

from __future__ import annotations

import copy
import functools
import operator
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import dspy

from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.exam.banks import BankMaker, plain_inputs
from lbt_dspy.lms.redaction import public_settings
from lbt_dspy.types import ExamProblem

SEVERAL = (list, tuple, set, frozenset)
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

    Of a field that holds several values, such as tags, one must be shared: the teaching problem's rarest in the bank
    that gives enough problems, since it says most.

    Args:
        bank: As in `BankMaker`, as are the other options.
        fields: Fields that must be equal, or share a value where they hold a list, tuple or set; e.g. `("subject",)`.
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
        kind = {name: self.field(teaching, name) for name in self.fields}
        fits = self._level_test(teaching)
        places = [place for place in others if fits(self.bank[place])]
        for name, own in kind.items():
            places = self._sharing(name, own, places)
        return places

    def _sharing(self, name: str, own: Any, places: list[int]) -> list[int]:
        """Return the places whose value of a field is the teaching problem's, or has its rarest one in it."""
        if not isinstance(own, SEVERAL):
            return [place for place in places if own in _values(self.bank[place][name])]
        groups = [[place for place in places if value in _values(self.bank[place][name])] for value in _values(own)]
        enough = [group for group in groups if len(group) >= (self.most or 1)]
        return min(enough, key=len) if enough else max(groups, key=len, default=[])

    def _level_test(self, teaching: dspy.Example) -> Callable[[dspy.Example], bool]:
        if self.level is None:
            return lambda problem: True
        if not isinstance(self.level, str):
            return lambda problem: bool(problem[self.level_field] == self.level)
        return functools.partial(self._compare, LEVELS[self.level], self.field(teaching, self.level_field))

    def _compare(self, compare: Callable[[Any, Any], bool], own: Any, problem: dspy.Example) -> bool:
        level = problem[self.level_field]
        try:
            return compare(level, own)
        except TypeError:
            raise UserError(
                f"{self.level_field} is {own!r} in the teaching problem and {level!r} in the bank; give numbers"
            ) from None


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
                texts = [" ".join(plain_inputs(example)) for example in self.bank]
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


def _values(value: Any) -> Sequence[Any]:
    """Return the values of a field, those of a set in an order that is always the same."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return value if isinstance(value, list | tuple) else (value,)


def _check_fields(bank: Sequence[dspy.Example], names: Sequence[str]) -> None:
    for i, example in enumerate(bank):
        for name in names:
            if name not in example:
                known = ", ".join(example.keys())
                raise UserError(f"problem {i} of the bank has no field {name!r}, only {known}")
