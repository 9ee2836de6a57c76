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
        raw = np.stack([np.bincount(row, column, number) for column in weights.T], axis=1)
        if self.idf is not None:
            norms = np.sqrt(np.bincount(row, (self.idf.take(places) * counts) ** 2, number))
            raw = raw / np.maximum(norms, LEAST_NORM)[:, None]
        return np.asarray(raw + self.bias)

    def margins(self, texts: Texts) -> np.ndarray[Any, Any]:
        """Return the scores around their mean, in units in which classifiers of any kind can be added up."""
        scores = self.scores(texts)
        return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / self.scale)


class TextClassifier:
    """One kind of classifier with its features and fits cached. Thread-safe.

    Args:
        kind: `words` (TF-IDF of words, logistic regression), `bayes` (word counts, complement naive Bayes) or
            `chars` (TF-IDF of character 2- to 4-grams within words, logistic regression).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        char = {"analyzer": "char_wb", "ngram_range": (2, 4)} if kind == "chars" else {"ngram_range": (1, 1)}
        self._vectorizer = HashingVectorizer(n_features=FEATURES, alternate_sign=False, norm=None, **char)
        self._features: dict[str, Features] = {}
        self.exam = functools.lru_cache(CACHED_EXAMS)(self.texts)
        """As `texts`, the last ones cached: the sets of a round sit the same exam."""
        self._fits: OrderedDict[tuple[tuple[str, str], ...], Fit] = OrderedDict()
        self._lock = threading.Lock()

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

    def fit(self, lessons: tuple[tuple[str, str], ...]) -> Fit:
        """Return the classifier fitted on (text, label) pairs (cached); they must hold two labels or more."""
        with self._lock:
            fit = self._fits.get(lessons)
            if fit is None:
                with one_thread():
                    fit = self._fits[lessons] = self._fit(lessons)
                if len(self._fits) > CACHED_FITS:
                    self._fits.popitem(last=False)
            return fit

    def _fit(self, lessons: Sequence[tuple[str, str]]) -> Fit:
        texts = self.texts(tuple(text for text, _ in lessons))
        labels = sorted({label for _, label in lessons})
        classes = np.array([labels.index(label) for _, label in lessons])
        known, columns = np.unique(texts.ids, return_inverse=True)
        rows = np.zeros((texts.number, len(known)))
        rows[texts.row, columns] = texts.counts
        idf = None
        if self.kind == "bayes":
            coefficients, bias = complement_bayes(rows, classes), np.zeros(len(labels))
        else:
            frequencies = inverse_frequencies(rows)
            coefficients, bias = logistic(unit_rows(rows * frequencies), classes)
            coefficients *= frequencies
            idf = np.concatenate([[0.0], frequencies])
        place = np.zeros(FEATURES, np.int32)
        place[known] = np.arange(1, 1 + len(known))
        weights = np.vstack([np.zeros(len(labels)), coefficients.T])
        fit = Fit(labels=tuple(labels), place=place, weights=weights, idf=idf, bias=bias)
        scale = float(np.abs(fit.margins(texts)).mean())
        return dataclasses.replace(fit, scale=max(scale, LEAST_SCALE))
