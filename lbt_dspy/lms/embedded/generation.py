"""Batched generation and scoring with a transformer: shared prefixes are read once, finished rows leave the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lbt_dspy.lms.embedded.transformer import Cache, Flags, Floats, Ints, Transformer
from lbt_dspy.sampling import stream

ROWS = 128
"""Rows of a batch. Fixed, so that the number of threads changes nothing."""
TIE = 1e-4
"""Logits closer than this are equal to greedy decoding, which then takes the lower token."""

Tokens = tuple[int, ...]


class Prompt(NamedTuple):
    """Tokens to read; together at least one."""

    prefix: Tokens
    """What many prompts share."""
    tail: Tokens


@dataclass(frozen=True, kw_only=True)
class Task:
    """One text to write."""

    prompt: Prompt
    temperature: float = 1.0
    """At least 0; 0 is greedy."""
    top_k: int | None = None
    """Draw from so many of the likeliest tokens, at least 1; `None`: from all."""
    seed: int = 0
    """Of the draws; they depend on it and on the prompt."""
    most: int
    """Most tokens to write, at least 1."""
    logprobs: bool = False
    """Whether log-probabilities are wanted."""


class Completion(NamedTuple):
    """What was written."""

    tokens: list[int]
    """Without the one that ends it."""
    ended: bool
    """False: cut at the limit."""
    logprobs: Floats | None
    """Of every token of the vocabulary at each place, before temperature; shape (tokens, vocabulary)."""


def generate(model: Transformer, tasks: Sequence[Task]) -> list[Completion]:
    """Write one text per task, in order. A text depends on its task alone; those of equal tasks are written once.

    Args:
        model: Who writes.
        tasks: Prompts and settings.
    """
    written = _write(model, list(dict.fromkeys(tasks)))
    return [written[task] for task in tasks]


def score(model: Transformer, prompts: Sequence[Prompt], texts: Sequence[Tokens]) -> list[Floats]:
    """Return the log-probability of each token of each text after its prompt, in order.

    Args:
        model: Who is asked.
        prompts: One per text.
        texts: The given tokens.
    """
    if not prompts:
        return []
    cache, state = _read(model, prompts, _longest(texts))
    counts = np.array([len(text) for text in texts])
    tokens = _padded(texts)
    states = np.concatenate([state[:, None], model.read(tokens, counts, cache)[:, :-1]], axis=1)
    logs = log_softmax(model.logits(states))
    own = np.take_along_axis(logs, tokens[:, :, None], axis=2)[:, :, 0]
    return [own[i, :n] for i, n in enumerate(counts)]


def draw(logits: Floats, heat: Floats, top: Ints, noise: Floats) -> Ints:
    """Return one token per row: by inverse distribution function, or the likeliest where `heat` is 0.

    Args:
        logits: Shape (rows, vocabulary).
        heat: Temperature of each row.
        top: How many of the likeliest tokens may be drawn, of each row.
        noise: Uniform in [0, 1), one of each row.
    """
    greedy: Ints = np.round(logits / TIE).argmax(axis=1)
    hot = heat > 0
    if not hot.any():
        return greedy
    scaled = logits / np.where(hot, heat, 1)[:, None]
    if (top < logits.shape[1]).any():
        place = logits.shape[1] - np.minimum(top, logits.shape[1])
        least = np.take_along_axis(np.sort(scaled, axis=1), place[:, None], axis=1)
        scaled = np.where(scaled < least, -np.inf, scaled)
    sums = np.exp(scaled - scaled.max(axis=1, keepdims=True)).cumsum(axis=1)
    drawn = (sums <= noise[:, None] * sums[:, -1:]).sum(axis=1)
    return np.asarray(np.where(hot, drawn, greedy))


def log_softmax(logits: Floats) -> Floats:
    """Return log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _write(model: Transformer, tasks: Sequence[Task]) -> dict[Task, Completion]:
    if not tasks:
        return {}
    drafts = _Drafts(model, tasks)
    cache, state = _read(model, [task.prompt for task in tasks], drafts.most)
    rows = np.arange(len(tasks))
    for place in range(drafts.most):
        chosen, alive = drafts.write(rows, place, model.logits(state))
        if not alive.any():
            break
        if not alive.all():
            order = cache.keep(alive)
            rows, chosen = rows[order], chosen[order]
        state = model.read(chosen[:, None], np.ones(len(rows), np.int64), cache)[:, 0]
    return dict(zip(tasks, drafts.completions(), strict=True))


class _Drafts:
    """The texts of some tasks while they are written."""

    def __init__(self, model: Transformer, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._limits = np.array([task.most for task in tasks])
        self.most = int(self._limits.max())
        self._heat = np.array([task.temperature for task in tasks])
        self._top = np.array([task.top_k or model.vocabulary for task in tasks])
        self._noise = np.array([_uniforms(task, self.most) for task in tasks])
        self._ends = np.isin(np.arange(model.vocabulary), list(model.config.ends))
        self._tokens = np.zeros((len(tasks), self.most), np.int64)
        self._lengths, self._ended = self._limits.copy(), np.zeros(len(tasks), bool)
        self._logs: Floats | None = None
        if any(task.logprobs for task in tasks):
            self._logs = np.zeros((len(tasks), self.most, model.vocabulary), np.float32)

    def write(self, rows: Ints, place: int, logits: Floats) -> tuple[Ints, Flags]:
        """Write one more token of each of these tasks; return the tokens, and which texts go on."""
        chosen = draw(logits, self._heat[rows], self._top[rows], self._noise[rows, place])
        self._tokens[rows, place] = chosen
        if self._logs is not None:
            self._logs[rows, place] = log_softmax(logits)
        stopped = self._ends[chosen]
        self._ended[rows[stopped]], self._lengths[rows[stopped]] = True, place
        return chosen, ~stopped & (self._limits[rows] > place + 1)

    def completions(self) -> list[Completion]:
        """Return the texts, in the order of their tasks."""
        logs = [self._logs[i] if self._logs is not None and t.logprobs else None for i, t in enumerate(self._tasks)]
        return [
            Completion(self._tokens[i, :length].tolist(), bool(self._ended[i]), None if log is None else log[:length])
            for i, (length, log) in enumerate(zip(self._lengths, logs, strict=True))
        ]


def _read(model: Transformer, prompts: Sequence[Prompt], room: int) -> tuple[Cache, Floats]:
    """Read prompts, what they share once; return the cache, with room for more, and the last state of each."""
    distinct = list(dict.fromkeys(prompts))
    prefixes = list(dict.fromkeys(prompt.prefix for prompt in distinct))
    tails = [prompt.tail for prompt in distinct]
    start = model.cache(len(prefixes), _longest(prefixes))
    before = _read_each(model, prefixes, start)
    place = {prefix: i for i, prefix in enumerate(prefixes)}
    parents = np.array([place[prompt.prefix] for prompt in distinct])
    room += _longest(prefixes) + _longest(tails)
    cache = start.fork(parents, room)
    state = _read_each(model, tails, cache)
    empty = np.array([not tail for tail in tails])
    state[empty] = before[parents[empty]]
    if len(distinct) == len(prompts):
        return cache, state
    number = {prompt: i for i, prompt in enumerate(distinct)}
    rows = np.array([number[prompt] for prompt in prompts])
    return cache.fork(rows, room), state[rows]


def _read_each(model: Transformer, texts: Sequence[Tokens], cache: Cache) -> Floats:
    """Read one text per row; return the state after the last token of each (undefined after none)."""
    counts = np.array([len(text) for text in texts])
    states = model.read(_padded(texts), counts, cache)
    return np.asarray(states[np.arange(len(texts)), counts - 1])


def _padded(texts: Sequence[Tokens]) -> Ints:
    tokens = np.zeros((len(texts), _longest(texts)), np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    return tokens


def _longest(texts: Sequence[Tokens]) -> int:
    return max(1, *map(len, texts))


def _uniforms(task: Task, most: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    if task.temperature == 0:
        return np.zeros(most)
    noise = np.zeros(most)
    noise[: task.most] = stream(task.seed, "sample", *task.prompt).random(task.most)
    return noise
