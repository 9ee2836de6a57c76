"""Randomness keyed by purpose, never by call order, so that 1 worker and 64 give the same result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def digest_int(*parts: object) -> int:
    """Return a 63-bit integer that depends on `parts` alone (their `repr`), the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, *purpose: object) -> np.random.Generator:
    """Return the random generator of one purpose, e.g. `stream(seed, "minibatch", round)`."""
    return np.random.default_rng(digest_int(seed, *purpose))


def request_seed(seed: int, *purpose: object) -> int:
    """Return a 31-bit seed for a provider's `seed` parameter."""
    return digest_int(seed, *purpose) % (2**31 - 1)


def balanced(
    items: Sequence[T], size: int, label_of: Callable[[T], Hashable], rng: np.random.Generator, *, replace_missing: bool
) -> list[T]:
    """Draw `size` items without repetition, as evenly over the labels as the items allow.

    Args:
        items: What is drawn from; each item at most once.
        size: How many; at most `len(items)` are returned.
        label_of: Gives the label of an item.
        rng: Source of the draw; the result depends on it and on the order of `items` alone.
        replace_missing: True fills up from the other labels where one label runs out; False returns fewer.

    Returns:
        The drawn items in random order.
    """
    shuffled = [items[i] for i in rng.permutation(len(items))]
    queues: dict[Hashable, list[T]] = {}
    for item in shuffled:
        queues.setdefault(label_of(item), []).append(item)
    labels = sorted(queues, key=repr)
    rotation = [labels[i] for i in rng.permutation(len(labels))]
    share, extra = divmod(size, max(len(labels), 1))
    drawn: list[T] = []
    rest: list[T] = []
    for position, label in enumerate(rotation):
        quota = share + (position < extra)
        drawn += queues[label][:quota]
        rest += queues[label][quota:]
    if replace_missing and len(drawn) < size:
        drawn += rest[: size - len(drawn)]
    return [drawn[i] for i in rng.permutation(len(drawn))]
