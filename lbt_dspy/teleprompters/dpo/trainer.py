"""DPO of a causal language model through TRL: the one module that needs PyTorch (the extra `dpo`), and only to train.

Rafailov et al., NeurIPS 2023, arXiv 2305.18290.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lbt_dspy.errors import UserError
from lbt_dspy.teleprompters.dpo.options import DPOSettings, Training, check_extra
from lbt_dspy.teleprompters.dpo.preference_files import write_whole
from lbt_dspy.teleprompters.dpo.training_folder import NotANumberError, TrainingFolder, said_plainly

SAVES = 4
"""Times that a training is saved on its way, to go on from there after a stop."""


def train(rows: Sequence[Mapping[str, Any]], base: str | Path, folder: Path, settings: DPOSettings) -> Training:
    """Train a model on preference pairs, and save it as a whole: LoRA's weights are merged into it.

    A training that was stopped goes on from the last of its saves; one that is done is not done again.

    Args:
        rows: Pairs, as `PreferencePair.row` gives them.
        base: The folder of a model, as `save_pretrained` writes it, or its name on the Hugging Face hub.
        folder: Gets `checkpoint` (model and tokenizer) and `training.json`.
        settings: Loss, step size, epochs, batches, LoRA and seed; see `DPOSettings`.

    Raises:
        UserError: The model cannot be loaded, there is no room to save it, or a setting of LoRA's is wrong.
        LbTError: The loss is no number, or the memory is spent. Nothing is left that looks like a model.
    """
    done = TrainingFolder(folder, rows, base, settings)
    found = done.finished()
    if found is not None:
        return found
    check_extra()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # else the trainer calls home
    start = time.monotonic()
    with said_plainly(folder, settings), _quiet():
        trainer = _trainer(rows, base, done.work, settings)
        result = trainer.train(resume_from_checkpoint=done.last_save())
        loss = float(result.training_loss)
        part = folder / "checkpoint.part"
        shutil.rmtree(part, ignore_errors=True)
        model = trainer.model if settings.lora is None else trainer.model.merge_and_unload()
        model.config.use_cache = True  # which training turns off
        model.save_pretrained(part)
        trainer.processing_class.save_pretrained(part)
    record = Training(
        digest=done.digest, pairs=len(rows), steps=int(result.global_step), loss=loss,
        seconds=round(time.monotonic() - start, 1), versions=_versions(),
    )  # fmt: skip
    shutil.rmtree(done.checkpoint, ignore_errors=True)
    part.replace(done.checkpoint)
    write_whole(folder / "training.json", json.dumps(asdict(record), indent=1) + "\n")
    shutil.rmtree(done.work, ignore_errors=True)
    return record


def _trainer(rows: Sequence[Mapping[str, Any]], base: str | Path, work: Path, settings: DPOSettings) -> Any:
    """Return TRL's trainer. On the CPU all is single precision; on a GPU bfloat16, with gradient checkpointing."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    class StopAtNaN(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **more: Any) -> None:
            for name in ("loss", "grad_norm"):
                value = float(logs.get(name, 0.0))
                if not math.isfinite(value):
                    raise NotANumberError(f"{name} was {value} at step {state.global_step}")

    gpu = torch.cuda.is_available()
    terms = {"sigmoid": 1.0} | ({"sft": float(settings.nll_weight)} if settings.nll_weight else {})
    keys = ("prompt", "chosen", "rejected")
    steps = math.ceil(len(rows) / settings.batch_size) * settings.epochs
    config = DPOConfig(
        output_dir=str(work), loss_type=list(terms), loss_weights=list(terms.values()), beta=settings.beta,
        learning_rate=settings.learning_rate, lr_scheduler_type="linear", weight_decay=0.0,
        num_train_epochs=settings.epochs, per_device_train_batch_size=settings.batch_size, max_length=None,
        seed=settings.seed, data_seed=settings.seed, use_cpu=not gpu, bf16=gpu, gradient_checkpointing=gpu,
        dataloader_pin_memory=gpu, disable_tqdm=True, logging_steps=1, logging_nan_inf_filter=False,
        save_strategy="steps", save_steps=max(1, math.ceil(steps / SAVES)), save_total_limit=1, report_to="none",
    )  # fmt: skip
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16 if gpu else torch.float32),
        args=config,
        train_dataset=Dataset.from_list([{key: row[key] for key in keys} for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=_lora(settings.lora),
        callbacks=[StopAtNaN()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _lora(options: Mapping[str, Any] | None) -> Any:
    if options is None:
        return None
    import peft

    try:
        return peft.LoraConfig(**{"task_type": "CAUSAL_LM", **options})
    except (TypeError, ValueError) as error:
        raise UserError(f"lora must be settings of peft.LoraConfig but {dict(options)} are not: {error}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars and reports of the libraries out of the terminal."""
    from datasets.utils import logging as of_datasets
    from transformers.utils import logging as of_transformers

    level = of_transformers.get_verbosity()
    of_datasets.disable_progress_bar()
    of_transformers.disable_progress_bar()
    of_transformers.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what these libraries say of each other
            yield
    finally:
        of_transformers.set_verbosity(level)
        of_transformers.enable_progress_bar()
        of_datasets.enable_progress_bar()


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl")}
