"""Randomness keyed by purpose, never by call order, so that 1 worker and 64 give the same result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
ROLLOUTS = 2**16
"""Most rollouts of one question."""


def digest_int(*parts: object) -> int:
    """Return a 63-bit integer that depends on `parts` alone (their `repr`), the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, *purpose: object) -> np.random.Generator:
    """Return the random generator of one purpose, e.g. `stream(seed, "minibatch", round)`."""
    return np.random.default_rng(digest_int(seed, *purpose))


def request_seed(seed: int, *purpose: object) -> int:
    """Return a 31-bit seed for a provider's `seed` parameter."""
    return digest_int(seed, *purpose) % (2**31 - 1)


def rollout_seed(seed: int, rollout: int) -> int:
    """Return the request seed of one rollout: its number in the low 16 bits, `seed` modulo 2**15 above; 31 bits in all.

    Args:
        seed: The seed of the run, at least 0.
        rollout: Number of the sample, in [0, 2**16).
    """
    return (seed % 2**15) * ROLLOUTS + rollout


def balanced(items: Sequence[T], size: int, label_of: Callable[[T], Hashable], rng: np.random.Generator) -> list[T]:
    """Draw `size` items without repetition, as evenly over the labels as the items allow.

    Args:
        items: What is drawn from; each item at most once.
        size: How many; all items when there are fewer.
        label_of: Gives the label of an item.
        rng: Source of the draw; the result depends on it and on the order of `items` alone.

    Returns:
        The drawn items in random order.
    """
    queues: dict[Hashable, list[T]] = {}
    for i in rng.permutation(len(items)):
        queues.setdefault(label_of(items[i]), []).append(items[i])
    labels = sorted(queues, key=repr)
    turns = [queues[labels[i]] for i in rng.permutation(len(labels))]
    longest = max(map(len, turns), default=0)
    drawn = [queue[place] for place in range(longest) for queue in turns if place < len(queue)][:size]
    return [drawn[i] for i in rng.permutation(len(drawn))]
