"""Linear text classifiers on a handful of rows: the formulas of scikit-learn's, without its checks of each input.

`tests/lms/test_embedded.py` compares them with `TfidfTransformer`, `LogisticRegression(class_weight="balanced")` and
`ComplementNB`. No sum goes through BLAS, whose results depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

Array = np.ndarray[Any, Any]
SMOOTHING = 1.0
"""Of naive Bayes: added to each count."""
SOLVER = {"maxiter": 100, "maxls": 50, "gtol": 1e-4, "ftol": 64 * float(np.finfo(float).eps)}
"""L-BFGS-B as scikit-learn calls it."""


def inverse_frequencies(counts: Array) -> Array:
    """Return the smoothed inverse document frequency of each feature of counts of shape (texts, features)."""
    return np.asarray(np.log((1 + len(counts)) / (1 + (counts > 0).sum(axis=0))) + 1)


def unit_rows(rows: Array) -> Array:
    """Return rows of length 1; empty ones stay as they are."""
    norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.where(norms > 0, norms, 1))


def complement_bayes(counts: Array, classes: Array) -> Array:
    """Return complement naive Bayes' weights, shape (classes, features) (Rennie et al. 2003).

    Args:
        counts: Of features, shape (texts, features).
        classes: Of the texts, numbered from 0; each occurs.
    """
    by_class = np.stack([counts[classes == c].sum(axis=0) for c in range(classes.max() + 1)])
    others = counts.sum(axis=0) + SMOOTHING - by_class
    return np.asarray(-np.log(others / others.sum(axis=1, keepdims=True)))


def logistic(rows: Array, classes: Array) -> tuple[Array, Array]:
    """Fit a logistic regression with an L2 penalty (C = 1), every class of the same weight in all.

    Args:
        rows: Shape (texts, features).
        classes: Of the texts, numbered from 0; each occurs.

    Returns:
        Coefficients of shape (classes, features), and a bias per class.
    """
    size, features = rows.shape
    number = int(classes.max()) + 1
    share = 1 / (number * np.bincount(classes)[classes])[:, None]  # of each text in the mean loss
    right = np.eye(number)[classes]
    weighted = right * share
    free = 1 if number == 2 else number  # of two classes one score says all

    scores = np.zeros((size, number))

    def loss(flat: Array) -> tuple[float, Array]:
        table = flat.reshape(free, features + 1)
        weights = table[:, :-1]
        scores[:, -free:] = np.einsum("tf,cf->tc", rows, weights) + table[:, -1]
        logs = scores - scores.max(axis=1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        slope = ((np.exp(logs) - right) * share)[:, -free:]
        gradient = np.empty_like(table)
        gradient[:, :-1] = np.einsum("tc,tf->cf", slope, rows)
        gradient[:, :-1] += weights / size
        gradient[:, -1] = slope.sum(axis=0)
        return 0.5 / size * float((weights * weights).sum()) - float((logs * weighted).sum()), gradient.ravel()

    found = minimize(loss, np.zeros(free * (features + 1)), jac=True, method="L-BFGS-B", options=SOLVER)
    table = found.x.reshape(free, features + 1)
    if free == 1:
        table = np.vstack([-table, table])
    return table[:, :-1], table[:, -1]
