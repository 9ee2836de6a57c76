"""How a model is trained on preference pairs, and what is checked before anything is paid for."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.teleprompters.dpo.preferences import GAP, PER_PROBLEM, WEIGHT, preference_pairs
from lbt_dspy.teleprompters.rerank.optimizer import LbTRerank
from lbt_dspy.teleprompters.rerank.options import LessonOptions

NEEDED = ("torch", "transformers", "trl", "datasets")
TRAINERS = ("trl",)
Serve = Callable[[Path], dspy.LM]
"""Gives the LM of a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class DPOSettings:
    """How a model is trained; the defaults are the paper's, for models of 8B parameters.

    The loss of a batch is the mean of -log sigmoid(beta * margin) over its pairs, plus `nll_weight` times the mean
    negative log-likelihood of all tokens of its chosen texts.

    Raises:
        UserError: A setting is out of bounds.
    """

    trainer: str = "trl"
    beta: float = 0.1
    nll_weight: float = 50.0
    learning_rate: float = 5e-7
    epochs: float = 1.0
    batch_size: int = 16
    """Pairs of one step."""
    lora: Mapping[str, Any] | None = None
    """Settings of `peft.LoraConfig`, e.g. `{"r": 16, "lora_alpha": 32}`; `None`: all weights are trained."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("trainer", self.trainer, TRAINERS)
        check_at_least("batch_size", self.batch_size, 1, "it is the number of pairs of one step")
        check_at_least("seed", self.seed, 0, "seeds are whole numbers")
        for name, least in (("beta", 0), ("learning_rate", 0), ("epochs", 0), ("nll_weight", None)):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < 0 or value == least:
                bound = "at least 0" if least is None else "above 0"
                raise UserError(
                    f"{name} must be a number {bound} but got {value!r}; the paper's is {getattr(type(self), name)}"
                )


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a training went."""

    digest: str
    """Of the pairs, the model that it began with, and the settings."""
    pairs: int
    steps: int
    loss: float
    """Mean over the steps."""
    seconds: float
    versions: Mapping[str, str]


def check_extra() -> None:
    """Raise `UserError` unless what training needs is installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"training needs {', '.join(missing)}: pip install 'lbt_dspy[dpo]'. Without it, export_only "
            "writes the pairs for a trainer elsewhere"
        )


def check_base(base: str | Path) -> None:
    """Raise `UserError` when a folder is named that holds no model; names of models on the hub are not looked up."""
    path = Path(base)
    if path.is_dir() and not (path / "config.json").is_file():
        raise UserError(f"{base} is no model: it has no config.json; name a folder that save_pretrained has written")
    if not path.is_dir() and (path.is_absolute() or path.exists() or str(base).startswith(".")):
        raise UserError(f"there is no folder {base} with a model; name one, or a model of the Hugging Face hub")


@dataclass(frozen=True, kw_only=True, eq=False)
class DPOOptions(LessonOptions):
    """What `LbTDPO` is told; its docstring says what each means.

    Raises:
        UserError: An option is out of bounds, or what training needs is not installed.
    """

    folder: str | Path
    rationales: int = 32
    weight: float = WEIGHT
    gap: float = GAP
    per_problem: int = PER_PROBLEM
    trainer: str = DPOSettings.trainer
    beta: float = DPOSettings.beta
    nll_weight: float = DPOSettings.nll_weight
    learning_rate: float = DPOSettings.learning_rate
    epochs: float = DPOSettings.epochs
    batch_size: int = DPOSettings.batch_size
    lora: Mapping[str, Any] | None = None
    base_model: str | Path | None = None
    serve: Serve | None = None
    rounds: int = 1
    export_only: bool = False

    def __post_init__(self) -> None:
        LessonOptions.__post_init__(self)
        if self.exam is None or not self.exam_students:
            raise UserError("LbTDPO needs exam= and exam_students=: pairs are made of what lessons taught")
        check_at_least("rounds", self.rounds, 1, "1 is one training")
        preference_pairs((), weight=self.weight, gap=self.gap, per_problem=self.per_problem)  # checks them
        if self.base_model is not None:
            check_base(self.base_model)
        if self.settings and not self.export_only:  # checks them
            check_extra()

    @property
    def settings(self) -> DPOSettings:
        """How the model is trained."""
        return DPOSettings(**{f.name: getattr(self, f.name) for f in fields(DPOSettings)})

    def reranker(self, ledger: Ledger | None) -> LbTRerank:
        """Return what samples and examines lessons."""
        shared = {f.name: getattr(self, f.name) for f in fields(LessonOptions)}
        paid = {"ledger": ledger, "budget": self.budget if ledger is None else None}
        return LbTRerank(**{**shared, **paid}, schedule="full")
