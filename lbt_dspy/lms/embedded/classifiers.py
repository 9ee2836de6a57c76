"""Text classifiers fitted on a handful of demonstrations as scikit-learn fits them; a question costs microseconds.

All three are linear, so a fit is kept as a weight per hashed feature, and many questions are one gather and one sum.
A fit takes a millisecond: scikit-learn's own checks of its input, once for each of thousands of prompts, would take
several times that, so the few formulas are worked out in `fitting.py`, and tested against scikit-learn.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from lbt_dspy.lms.embedded.fitting import complement_bayes, inverse_frequencies, logistic, unit_rows
from lbt_dspy.threads import one_thread

FEATURES = 2**15
CACHED_TEXTS = 50_000
CACHED_FITS = 64
CACHED_EXAMS = 8
CACHED_TABLES = 8
LEAST_SCALE = 1e-9
LEAST_NORM = 1e-12


class Features(NamedTuple):
    """The non-zero features of one text."""

    ids: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any]


class Texts(NamedTuple):
    """The non-zero features of several texts, one after the other."""

    number: int
    """Of texts."""
    row: np.ndarray[Any, Any]
    """Which text each feature is of."""
    ids: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any]


class Table(NamedTuple):
    """The features of several texts in full."""

    texts: Texts
    ids: np.ndarray[Any, Any]
    """The features that any of them has."""
    counts: np.ndarray[Any, Any]
    """Shape (texts, these features)."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted classifier: `argmax(counts @ weights[place[ids]] / norm + bias)`."""

    labels: tuple[str, ...]
    place: np.ndarray[Any, Any]
    """Shape (FEATURES,): where a feature stands in what follows; 0, where all is 0, if no demonstration has it."""
    weights: np.ndarray[Any, Any]
    """Shape (1 + features of the demonstrations, labels), idf folded in."""
    idf: np.ndarray[Any, Any] | None
    """Shape (1 + features of the demonstrations,); `None` when the classifier reads raw counts."""
    bias: np.ndarray[Any, Any]
    scale: float = 1.0
    """Mean distance of a label's score from the labels' mean, over the demonstrations."""

    def scores(self, texts: Texts) -> np.ndarray[Any, Any]:
        """Return one score per text and label, shape (texts, labels); a text's do not depend on the others."""
        number, row, ids, counts = texts
        places = self.place.take(ids)
        weights = self.weights.take(places, axis=0) * counts[:, None]
        raw: np.ndarray[Any, Any] = np.stack([np.bincount(row, column, number) for column in weights.T], axis=1)
        if self.idf is not None:
            norms = np.sqrt(np.bincount(row, (self.idf.take(places) * counts) ** 2, number))
            raw = raw / np.maximum(norms, LEAST_NORM)[:, None]
        return np.asarray(raw + self.bias)

    def margins(self, texts: Texts) -> np.ndarray[Any, Any]:
        """Return the scores around their mean, in units in which classifiers of any kind can be added up."""
        scores = self.scores(texts)
        return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / self.scale)


class TextFeatures:
    """Reads texts as counts of hashed features, cached. Thread-safe.

    Args:
        unit: `word`, or `char`: 2 to 4 characters within words.
    """

    def __init__(self, unit: str) -> None:
        char = {"analyzer": "char_wb", "ngram_range": (2, 4)} if unit == "char" else {"ngram_range": (1, 1)}
        self._vectorizer = HashingVectorizer(n_features=FEATURES, alternate_sign=False, norm=None, **char)
        self._features: dict[str, Features] = {}
        self.exam = functools.lru_cache(CACHED_EXAMS)(self.texts)
        """As `texts`, the last ones cached: the sets of a round sit the same exam."""
        self.table = functools.lru_cache(CACHED_TABLES)(self._table)
        """As `texts`, but in full; the last ones cached: several classifiers are fitted on them."""

    def features(self, text: str) -> Features:
        """Return the features of a text (cached)."""
        found = self._features.get(text)
        if found is None:
            row = self._vectorizer.transform([text])
            found = Features(row.indices.astype(np.intp), row.data.astype(np.float64))
            if len(self._features) >= CACHED_TEXTS:
                self._features.clear()
            self._features[text] = found
        return found

    def texts(self, texts: tuple[str, ...]) -> Texts:
        """Return the features of several texts."""
        found = [self.features(text) for text in texts]
        ids, counts = (np.concatenate(column) for column in zip(*found, strict=True))
        return Texts(len(texts), np.repeat(np.arange(len(texts)), [len(one.ids) for one in found]), ids, counts)

    def are_in(self, texts: tuple[str, ...]) -> bool:
        """Return whether any of the texts has a feature."""
        return any(len(self.features(text).ids) for text in texts)

    def _table(self, texts: tuple[str, ...]) -> Table:
        read = self.texts(texts)
        ids, columns = np.unique(read.ids, return_inverse=True)
        counts = np.zeros((read.number, len(ids)))
        counts[read.row, columns] = read.counts
        return Table(read, ids, counts)


@functools.cache
def text_features(unit: str) -> TextFeatures:
    """Return the one reader of a unit: classifiers share its caches."""
    return TextFeatures(unit)


class TextClassifier:
    """One kind of classifier with its fits cached. Thread-safe.

    Args:
        kind: `words` (TF-IDF of words, logistic regression), `bayes` (word counts, complement naive Bayes) or
            `chars` (TF-IDF of characters within words, logistic regression).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.features = text_features("char" if kind == "chars" else "word")
        self._fits: OrderedDict[tuple[tuple[str, str], ...], Fit] = OrderedDict()
        self._lock = threading.Lock()

    def fit(self, lessons: tuple[tuple[str, str], ...]) -> Fit:
        """Return the classifier fitted on (text, label) pairs (cached), of two labels or more and with a feature."""
        with self._lock:
            fit = self._fits.get(lessons)
            if fit is None:
                with one_thread():
                    fit = self._fits[lessons] = self._fit(lessons)
                if len(self._fits) > CACHED_FITS:
                    self._fits.popitem(last=False)
            return fit

    def _fit(self, lessons: Sequence[tuple[str, str]]) -> Fit:
        texts, known, counts = self.features.table(tuple(text for text, _ in lessons))
        labels = sorted({label for _, label in lessons})
        classes = np.array([labels.index(label) for _, label in lessons])
        idf = None
        if self.kind == "bayes":
            coefficients, bias = complement_bayes(counts, classes), np.zeros(len(labels))
        else:
            frequencies = inverse_frequencies(counts)
            coefficients, bias = logistic(unit_rows(counts * frequencies), classes)
            coefficients *= frequencies
            idf = np.concatenate([[0.0], frequencies])
        place = np.zeros(FEATURES, np.int32)
        place[known] = np.arange(1, 1 + len(known))
        weights = np.vstack([np.zeros(len(labels)), coefficients.T])
        fit = Fit(labels=tuple(labels), place=place, weights=weights, idf=idf, bias=bias)
        scale = float(np.abs(fit.margins(texts)).mean())
        return dataclasses.replace(fit, scale=max(scale, LEAST_SCALE))
