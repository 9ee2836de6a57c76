"""DPO as a DSPy provider: `lm.finetune(rows, "preference", {...})`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import dspy
from dspy.clients.provider import Provider

from lbt_dspy.errors import UserError
from lbt_dspy.lms.vllm_server import VLLM
from lbt_dspy.teleprompters.dpo.options import DPOSettings, check_base, check_extra
from lbt_dspy.teleprompters.dpo.trainer import train
from lbt_dspy.teleprompters.dpo.training_folder import made_folder


class PreferenceProvider(Provider):  # type: ignore[misc]
    """A DSPy provider that trains on preference pairs: `lm.finetune(rows, "preference", {...})`.

    Args:
        folder: Gets the checkpoint and the record of the training.
        base_model: The model to train; `None`: the LM's own name, without its provider.
        serve: Starts servers for checkpoints.
    """

    def __init__(self, folder: str | Path, *, base_model: str | Path | None = None, serve: VLLM | None = None) -> None:
        super().__init__()
        self.finetunable = True
        self.folder = Path(folder)
        self.base_model = base_model
        self.serve = VLLM() if serve is None else serve

    def finetune(
        self,
        job: Any,
        model: str,
        train_data: Sequence[Mapping[str, Any]],
        train_data_format: object,
        train_kwargs: Mapping[str, Any] | None = None,
    ) -> str:
        """Train, and return the name of the LM that the job gives; `lm.launch()` serves it.

        Args:
            job: Of DSPy.
            model: The LM's name, e.g. `hosted_vllm/Qwen/Qwen3-8B`.
            train_data: Rows with `prompt`, `chosen` and `rejected`, as `PreferencePair.row` gives them.
            train_data_format: `"preference"`.
            train_kwargs: Fields of `DPOSettings`.

        Raises:
            UserError: Format, rows or a setting are wrong, or the extra is missing.
        """
        if train_data_format != "preference":
            raise UserError(f"train_data_format must be 'preference' but got {train_data_format!r}")
        if not train_data or any(not {"prompt", "chosen", "rejected"} <= set(row) for row in train_data):
            raise UserError("train_data must be rows with prompt, chosen and rejected, such as PreferenceData.rows()")
        known, given = {f.name for f in fields(DPOSettings)}, dict(train_kwargs or {})
        if set(given) - known:
            raise UserError(f"unknown setting {min(set(given) - known)!r}; known: {', '.join(sorted(known))}")
        base = self.base_model or model.partition("/")[2]
        check_base(base)
        check_extra()
        train(train_data, base, made_folder(self.folder), DPOSettings(**given))
        return f"hosted_vllm/{self.folder / 'checkpoint'}"

    def launch(self, lm: dspy.LM, launch_kwargs: Mapping[str, Any] | None = None) -> None:
        """Serve the LM's checkpoint by vLLM, and let the LM ask that server."""
        name, address = self.serve.start(Path(lm.model.removeprefix("hosted_vllm/")))
        lm.model = f"hosted_vllm/{name}"
        lm.kwargs |= {"api_base": address, "api_key": "none"}

    def kill(self, lm: dspy.LM, launch_kwargs: Mapping[str, Any] | None = None) -> None:
        """End the servers."""
        self.serve.stop()
