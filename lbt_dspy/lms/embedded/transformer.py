"""The forward pass of Llama language models in numpy, for models of at most a few million parameters.

Touvron et al., arXiv 2302.13971: RMSNorm, rotary positions, SwiGLU, no biases; grouped queries where the configuration
has them. Rows of a batch are padded on the right and never see their padding, so a row's numbers do not depend on its
neighbours but for the rounding of sums.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from lbt_dspy.errors import UserError

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a model."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    positions: int
    """Most tokens that it reads and writes."""
    epsilon: float
    theta: float
    """Base of the rotary angles."""
    ends: frozenset[int]
    """Tokens that end a text."""

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read a `config.json` of Hugging Face.

        Raises:
            UserError: It is not of a Llama model without biases and without scaled positions.
        """
        raw = json.loads(path.read_text(encoding="utf-8"))
        rope = {"rope_theta": raw.get("rope_theta", 10000.0)} | (raw.get("rope_scaling") or {})
        rope |= raw.get("rope_parameters") or {}
        plain = rope.get("rope_type", "default") == "default" and not raw.get("attention_bias")
        if raw.get("model_type") != "llama" or not plain or raw.get("hidden_act", "silu") != "silu":
            raise UserError(f"{path} must be of a Llama model (silu, no biases, unscaled positions)")
        heads, ends = raw["num_attention_heads"], raw["eos_token_id"]
        return cls(
            layers=raw["num_hidden_layers"],
            heads=heads,
            kv_heads=raw.get("num_key_value_heads") or heads,
            head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
            positions=raw["max_position_embeddings"],
            epsilon=raw["rms_norm_eps"],
            theta=rope["rope_theta"],
            ends=frozenset(ends if isinstance(ends, list) else [ends]),
        )


class Layer(NamedTuple):
    """The matrices of one layer, inputs first; norms and the scale of queries are folded into them."""

    qkv: Floats
    out: Floats
    gate: Floats
    up: Floats
    down: Floats


class Places(NamedTuple):
    """Where the tokens of one reading stand, and what they see; the same for all layers."""

    numbers: Ints
    """Shape (rows, most)."""
    cos: Floats
    sin: Floats
    mask: Floats
    """0 where a token sees a place and minus infinity elsewhere, shape (rows, 1, most, filled places)."""


class Cache:
    """Keys and values of the tokens that each row has read.

    Args:
        shape: (layers, rows, key-value heads, room for tokens, head dimension).
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.keys: Floats = np.zeros(shape, np.float32)  # not empty: what is masked must still be a number
        self.values: Floats = np.zeros(shape, np.float32)
        self.lengths: Ints = np.zeros(shape[1], np.int64)

    @property
    def _filled(self) -> int:
        return int(self.lengths.max(initial=0))

    def fork(self, rows: Ints, room: int) -> Cache:
        """Return a cache with room for `room` tokens whose row i starts as a copy of `rows[i]` of this one."""
        layers, _, heads, _, width = self.keys.shape
        copy = Cache((layers, len(rows), heads, room, width))
        used = self._filled
        copy.keys[:, :, :, :used] = self.keys[:, rows, :, :used]
        copy.values[:, :, :, :used] = self.values[:, rows, :, :used]
        copy.lengths = self.lengths[rows]
        return copy

    def keep(self, alive: Flags) -> Ints:
        """Drop rows; the last ones take the places of those dropped. Returns the old number of each row."""
        count, used = int(alive.sum()), self._filled
        order = np.arange(count)
        holes = np.flatnonzero(~alive[:count])
        order[holes] = movers = count + np.flatnonzero(alive[count:])
        for kept in (self.keys, self.values):
            kept[:, holes, :, :used] = kept[:, movers, :, :used]
        self.keys, self.values, self.lengths = self.keys[:, :count], self.values[:, :count], self.lengths[order]
        return order


class Transformer:
    """A Llama model. Thread-safe: all that changes is in the caches.

    Args:
        config: Its shape.
        weights: Its tensors under their Hugging Face names; without `lm_head.weight` the embeddings are tied.
    """

    def __init__(self, config: Config, weights: dict[str, np.ndarray[Any, Any]]) -> None:
        self.config = config
        tensors = {name.removeprefix("model."): array.astype(np.float32) for name, array in weights.items()}
        self._embeddings: Floats = tensors["embed_tokens.weight"]
        head = tensors.get("lm_head.weight", self._embeddings)
        self._head = np.ascontiguousarray((head * tensors["norm.weight"]).T)
        self._layers = [_layer(config, tensors, f"layers.{i}.") for i in range(config.layers)]
        rates = config.theta ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
        angles = np.arange(config.positions)[:, None] * rates
        self._cos, self._sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    @classmethod
    def load(cls, folder: Path) -> Transformer:
        """Load `config.json` and `model.safetensors`.

        Raises:
            UserError: The model is of another kind.
        """
        return cls(Config.read(folder / "config.json"), load_file(folder / "model.safetensors"))

    @property
    def vocabulary(self) -> int:
        """The number of tokens that it knows."""
        return len(self._embeddings)

    def cache(self, rows: int, room: int) -> Cache:
        """Return an empty cache."""
        return Cache((self.config.layers, rows, self.config.kv_heads, room, self.config.head_dim))

    def read(self, tokens: Ints, counts: Ints, cache: Cache) -> Floats:
        """Read the next tokens of each row into the cache, which must have room for them.

        Args:
            tokens: Shape (rows, most); row i has `counts[i]` tokens, then padding of any kind.
            counts: Shape (rows,).
            cache: What the rows have read so far.

        Returns:
            What the model knows after each token, shape (rows, most, hidden); `logits` takes it. Undefined at padding.
        """
        places = self._places(cache.lengths, tokens.shape[1])
        state = self._embeddings[tokens].reshape(-1, self._embeddings.shape[1])  # flat: one large product each
        for number, layer in enumerate(self._layers):
            state += self._attend(layer, self._normed(state), places, cache.keys[number], cache.values[number])
            normed = self._normed(state)
            state += (_silu(normed @ layer.gate) * (normed @ layer.up)) @ layer.down
        cache.lengths = cache.lengths + counts
        return state.reshape(*tokens.shape, -1)

    def logits(self, state: Floats) -> Floats:
        """Return the logits of the next token, shape (..., vocabulary)."""
        return np.asarray(self._normed(state) @ self._head)

    def _normed(self, state: Floats) -> Floats:
        power = np.einsum("...i,...i->...", state, state)[..., None] / np.float32(state.shape[-1])
        return np.asarray(state / np.sqrt(power + np.float32(self.config.epsilon)))

    def _places(self, lengths: Ints, most: int) -> Places:
        numbers = lengths[:, None] + np.arange(most)
        angles = np.minimum(numbers, self.config.positions - 1)  # padding may stand beyond the last position
        seen = np.arange(int(numbers.max(initial=0)) + 1) <= numbers[:, :, None]
        mask = np.where(seen, np.float32(0), np.float32(-np.inf))[:, None]
        return Places(numbers, self._cos[angles][:, :, None], self._sin[angles][:, :, None], mask)

    def _attend(self, layer: Layer, normed: Floats, places: Places, keys: Floats, values: Floats) -> Floats:
        """Write the tokens' keys and values, and return what the tokens take from all that they see."""
        rows, most = places.numbers.shape
        heads, groups, width = self.config.heads, self.config.kv_heads, self.config.head_dim
        mixed = (normed @ layer.qkv).reshape(rows, most, heads + 2 * groups, width)
        turned = _rotated(mixed[:, :, : heads + groups], places.cos, places.sin)
        row = np.arange(rows)[:, None]
        keys[row, :, places.numbers] = turned[:, :, heads:]
        values[row, :, places.numbers] = mixed[:, :, heads + groups :]
        filled = places.mask.shape[-1]
        shared = heads // groups
        queries = turned[:, :, :heads].reshape(rows, most, groups, shared, width).transpose(0, 2, 3, 1, 4)
        scores = queries.reshape(rows, groups, shared * most, width) @ keys[:, :, :filled].swapaxes(2, 3)
        weights = _softmax(scores.reshape(rows, heads, most, filled) + places.mask)
        found = weights.reshape(rows, groups, shared * most, filled) @ values[:, :, :filled]
        found = found.reshape(rows, heads, most, width).transpose(0, 2, 1, 3)
        return np.asarray(found.reshape(rows * most, heads * width) @ layer.out)


def _layer(config: Config, tensors: dict[str, Floats], prefix: str) -> Layer:
    def matrix(name: str) -> Floats:
        return tensors[f"{prefix}{name}_proj.weight"].T

    scale = np.float32(config.head_dim**-0.5)
    parts = [matrix("self_attn.q") * scale, matrix("self_attn.k"), matrix("self_attn.v")]
    before, after = (tensors[f"{prefix}{name}_layernorm.weight"] for name in ("input", "post_attention"))
    folded = (
        np.concatenate(parts, axis=1) * before[:, None],
        matrix("self_attn.o"),
        matrix("mlp.gate") * after[:, None],
        matrix("mlp.up") * after[:, None],
        matrix("mlp.down"),
    )
    return Layer(*map(np.ascontiguousarray, folded))


def _rotated(heads: Floats, cos: Floats, sin: Floats) -> Floats:
    half = heads.shape[-1] // 2
    left, right = heads[..., :half], heads[..., half:]
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)


def _softmax(scores: Floats) -> Floats:
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def _silu(values: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp overflows to infinity, and 1 / infinity is the right 0
        return np.asarray(values / (1 + np.exp(-values)))
