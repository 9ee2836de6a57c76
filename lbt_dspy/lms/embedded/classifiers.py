"""Text classifiers fitted by scikit-learn on a handful of demonstrations; a question then costs microseconds.

All three are linear, so a fit is kept as a weight per hashed feature and a question is one gather and one product.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import sklearn
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB

from lbt_dspy.threads import one_thread

FEATURES = 2**15
CACHED_TEXTS = 50_000
CACHED_FITS = 64
LEAST_SCALE = 1e-9


class Features(NamedTuple):
    """The non-zero features of one text."""

    ids: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted classifier: `argmax(counts @ weights[ids] / norm + bias)`."""

    labels: tuple[str, ...]
    weights: np.ndarray[Any, Any]
    """Shape (FEATURES, labels), idf folded in; zero for features that no demonstration has."""
    idf: np.ndarray[Any, Any] | None
    """Shape (FEATURES,); `None` when the classifier reads raw counts."""
    bias: np.ndarray[Any, Any]
    scale: float = 1.0
    """Mean distance of a label's score from the labels' mean, over the demonstrations."""

    def scores(self, features: Features) -> np.ndarray[Any, Any]:
        """Return one score per label."""
        raw = features.counts @ self.weights.take(features.ids, axis=0)
        if self.idf is not None:
            weighted = self.idf.take(features.ids) * features.counts
            raw = raw / max(float(np.sqrt(weighted @ weighted)), 1e-12)
        return np.asarray(raw + self.bias)

    def margins(self, features: Features) -> np.ndarray[Any, Any]:
        """Return the scores around their mean, in units in which classifiers of any kind can be added up."""
        scores = self.scores(features)
        return np.asarray((scores - scores.mean()) / self.scale)


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

    def fit(self, lessons: tuple[tuple[str, str], ...]) -> Fit:
        """Return the classifier fitted on (text, label) pairs (cached); they must hold two labels or more."""
        with self._lock:
            fit = self._fits.get(lessons)
            if fit is None:
                with one_thread(), sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
                    fit = self._fits[lessons] = self._fit(lessons)
                if len(self._fits) > CACHED_FITS:
                    self._fits.popitem(last=False)
            return fit

    def _fit(self, lessons: Sequence[tuple[str, str]]) -> Fit:
        rows = [self.features(text) for text, _ in lessons]
        labels = [label for _, label in lessons]
        known = np.unique(np.concatenate([row.ids for row in rows]))
        pointer = np.cumsum([0, *(len(row.ids) for row in rows)])
        columns = np.searchsorted(known, np.concatenate([row.ids for row in rows]))
        counts = sp.csr_matrix((np.concatenate([r.counts for r in rows]), columns, pointer), (len(rows), len(known)))
        idf = None
        if self.kind == "bayes":
            model = ComplementNB().fit(counts, labels)
            coefficients, bias = model.feature_log_prob_, np.zeros(len(model.classes_))
        else:
            tfidf = TfidfTransformer().fit(counts)
            model = LogisticRegression(class_weight="balanced")
            model.fit(tfidf.transform(counts), labels)
            coefficients, bias = model.coef_ * tfidf.idf_, model.intercept_
            if len(model.classes_) == 2:
                coefficients, bias = np.vstack([-coefficients, coefficients]), np.concatenate([-bias, bias])
            idf = np.zeros(FEATURES)
            idf[known] = tfidf.idf_
        weights = np.zeros((FEATURES, len(model.classes_)))
        weights[known] = coefficients.T
        fit = Fit(labels=tuple(map(str, model.classes_)), weights=weights, idf=idf, bias=bias)
        scale = float(np.mean([np.abs(fit.margins(row)) for row in rows]))
        return dataclasses.replace(fit, scale=max(scale, LEAST_SCALE))
