"""Exams of the problems that are nearest to the teaching problem."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dspy

from lbt_dspy.errors import check_at_least
from lbt_dspy.exam.makers.banks import BankMaker, plain_inputs
from lbt_dspy.lms.redaction import public_settings


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
