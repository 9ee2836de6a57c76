"""M2: the teacher learns from its students' exams, by direct preference optimization of its lessons.

Ning et al., NeurIPS 2024, arXiv 2406.14629, section on learning from the feedback; DPO: Rafailov et al., NeurIPS 2023,
arXiv 2305.18290, through TRL. The one module that needs PyTorch (the extra `dpo`), and that only to train.
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
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.exam.grading import Grader
from lbt_dspy.exam.makers import ExamMaker
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.teleprompters.dpo_settings import DPOSettings, Training, check_base, check_extra
from lbt_dspy.teleprompters.preference_files import write_whole
from lbt_dspy.teleprompters.preferences import GAP, PER_PROBLEM, WEIGHT, preference_pairs
from lbt_dspy.teleprompters.rerank import SITTINGS, LbTRerank
from lbt_dspy.teleprompters.training_folder import NotANumberError, TrainingFolder, made_folder, said_plainly
from lbt_dspy.teleprompters.tuned import Serve, Tuned, tune

SAVES = 4
"""Times that a training is saved on its way, to go on from there after a stop."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LbTDPO(Teleprompter):  # type: ignore[misc]
    """Fine-tunes a teacher on preference pairs of its lessons: that is preferred which taught its students better.

    Each round the teacher samples lessons of the training problems, exam students sit exams after each, lessons of one
    problem whose scores lie apart become pairs, and DPO trains the teacher on them. Then it answers `valset` greedily,
    as it did before; where it is not better, the old model stays. Use it where you can train the teacher and have many
    problems like those it will be asked; reference answers of the problems help but are not needed (`weight=0`). Costs
    `rationales` teacher calls and up to `rationales * students * problems * sittings` student calls a problem and
    round, and two answers a problem of `valset`. See docs/m2.md.

    Args:
        exam_students: As in `LbTRerank`, as are `exam`, `grader`, `rationales` (the paper: 32), `sittings`,
            `temperature`, `config`, `adapter`, `predictor`, `answer_field`, `lm_config`, `budget` and `ledger`.
        folder: Where pairs, checkpoints and records are written; a stopped run goes on from there.
        weight: Of correctness in a lesson's score, in [0, 1], the rest is its LbT score; problems without a reference
            answer count by LbT score alone. 0: reference answers are not used; 1: pairs from correctness alone.
        gap: Lessons whose scores are more than this apart make a pair, in [0, 1).
        per_problem: Most pairs of a problem, at least 1.
        trainer: `trl`. It and `beta`, `nll_weight`, `learning_rate`, `epochs`, `batch_size` and `lora` are as in
            `DPOSettings`: unless given the paper's, for models of 8B parameters; smaller models need larger steps.
        base_model: The model to train: a folder, or a name on the Hugging Face hub; `None`: that of the teacher's LM,
            where it runs in the process or is a vLLM server's.
        serve: Gives the LM of a checkpoint, e.g. `lbt_dspy.lms.vllm_server.VLLM()`; `None`: in process where the
            teacher runs so, else it is not served: the command that serves it is said, and the program keeps its LM.
        rounds: How often, at least 1; each begins with the model of the one before.
        export_only: Write the pairs and train nothing; needs no extra.
        seed: Seeds lessons, sittings, pairs and training.

    Raises:
        UserError: An option is out of bounds, or what training needs is not installed.
    """

    exam_students: Sequence[dspy.LM | str]
    exam: ExamMaker
    folder: str | Path
    grader: Grader | None = None
    rationales: int = 32
    sittings: int = SITTINGS
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
    temperature: float | None = 0.7
    config: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0.7})
    adapter: dspy.Adapter | None = None
    predictor: str | None = None
    answer_field: str | None = None
    lm_config: str | Path | None = None
    budget: Budget | None = None
    ledger: Ledger | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least("rounds", self.rounds, 1, "1 is one training")
        preference_pairs((), weight=self.weight, gap=self.gap, per_problem=self.per_problem)  # checks them
        self.reranker(self.ledger)
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
        return LbTRerank(
            exam_students=self.exam_students, exam=self.exam, grader=self.grader, rationales=self.rationales,
            sittings=self.sittings, temperature=self.temperature, config=self.config, adapter=self.adapter,
            predictor=self.predictor, answer_field=self.answer_field, lm_config=self.lm_config, ledger=ledger,
            budget=self.budget if ledger is None else None, seed=self.seed,
        )  # fmt: skip

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
    ) -> dspy.Module:
        """Return the program with the tuned model, or with its own where that is not better.

        Args:
            student: The program (DSPy's word; in learning by teaching it is the teacher). It is not changed.
            trainset: Problems to make lessons of.
            valset: Problems with reference answers, on which the teacher is measured before and after; without them the
                tuned model is kept unseen.

        Raises:
            BudgetSpentError: The next call could exceed the budget; compile again to go on.
            UserError: No pair comes of the lessons, or the model cannot be trained.
            LbTError: The training diverged, or ran out of memory.
        """
        return self.optimize(student, trainset=trainset, valset=valset).program

    def optimize(
        self,
        program: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
        account: Account | None = None,
    ) -> Tuned:
        """As `compile`, with the record of each round beside the program; calls are counted in `account`."""
        with self._paying() as ledger:
            return tune(self, train, program, ledger, trainset, valset or (), Account() if account is None else account)

    @contextlib.contextmanager
    def _paying(self) -> Iterator[Ledger]:
        """Give the ledger, with a journal in the folder unless one was given."""
        if self.ledger is not None:
            yield self.ledger
            return
        ledger = Ledger(Journal(made_folder(Path(self.folder)) / "journal.sqlite"), self.budget)
        try:
            yield ledger
        finally:
            ledger.close()


def train(rows: Sequence[Mapping[str, Any]], base: str | Path, folder: Path, settings: DPOSettings) -> Training:
    """Train a model on preference pairs, and save it as a whole: LoRA's weights are merged into it.

    A training that was stopped goes on from the last of its saves; one that is done is not done again.

    Args:
        rows: Pairs, as `PreferencePair.row` gives them.
        base: The folder of a model, as `save_pretrained` writes it, or its name on the Hugging Face hub.
        folder: Gets `checkpoint` (model and tokenizer) and `training.json`.
        settings: How.

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
