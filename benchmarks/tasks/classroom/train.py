"""Train the classroom's teacher and students from a seed: `python benchmarks/tasks/classroom/train.py` (extra `train`).

Writes their checkpoints in Hugging Face format, weights in 16 bit. Students learn to follow worked examples, whatever
they show; the teacher starts as student-b, whose arithmetic it needs, and learns what to believe of the skills' names.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lbt_dspy.benchmarks.tasks.classroom.measure import HOME, SAMPLES, TEMPERATURE, report
from lbt_dspy.benchmarks.tasks.classroom.texts import (
    NUMBERS,
    PATTERN,
    Context,
    padded,
    student_context,
    teacher_context,
)
from lbt_dspy.benchmarks.tasks.classroom.world import END, PADDING
from lbt_dspy.sampling import digest_int, stream

POSITIONS = 512
BATCH = 128
WARM_UP = 100
TEST_PROBLEMS, TEST_SEEDS = 270, (101, 102, 103)
"""Of the problems in the table; nothing was tuned on them."""
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message.role != 'system' %}{{ message.content | trim }}{% endif %}"
    "{% if message.role == 'assistant' %}" + END + "{% endif %}{% endfor %}"
)
logger = logging.getLogger("classroom")


@dataclass(frozen=True, kw_only=True)
class Pupil:
    """A model to be trained."""

    name: str
    width: int
    hidden: int
    """Width of the feed-forward layers."""
    updates: int
    rate: float
    """Highest learning rate."""
    contexts: Callable[[np.random.Generator], Context]
    start: str | None = None
    """Whose weights it starts from."""


STUDENT_A = Pupil(
    name="student-a",
    width=128,
    hidden=352,
    updates=900,
    rate=2e-3,
    contexts=partial(student_context, steps=(0.4, 0.35, 0.25)),
)
STUDENT_B = Pupil(
    name="student-b",
    width=96,
    hidden=256,
    updates=1000,
    rate=3e-3,
    contexts=partial(student_context, steps=(0.5, 0.3, 0.2)),
)
TEACHER = Pupil(
    name="teacher", width=96, hidden=256, updates=500, rate=3e-3, contexts=teacher_context, start="student-b"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer of the layout that `world.py` describes."""
    made = Tokenizer(models.WordLevel(NUMBERS, unk_token=PADDING))
    made.normalizer = normalizers.Replace(Regex(r"\s+"), "")
    made.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    made.decoder = decoders.Sequence(
        [decoders.Replace("R", "R "), decoders.Replace("A", " A "), decoders.Replace("Q", "Q "), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=END,
        pad_token=PADDING,
        model_max_length=POSITIONS,
        chat_template=CHAT_TEMPLATE,
    )


def new_model(pupil: Pupil) -> LlamaForCausalLM:
    """Return the untrained model."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(NUMBERS),
            hidden_size=pupil.width,
            intermediate_size=pupil.hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=64,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=NUMBERS[END],
            pad_token_id=NUMBERS[PADDING],
        )
    )


def train(pupil: Pupil, home: Path, seed: int) -> None:
    """Train a model and save it in `home / pupil.name`."""
    torch.set_num_threads(1)
    torch.manual_seed(digest_int(seed, pupil.name))
    model = LlamaForCausalLM.from_pretrained(home / pupil.start).float() if pupil.start else new_model(pupil)
    rng = stream(seed, "texts", pupil.name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=pupil.rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, updates=pupil.updates))
    started = time.perf_counter()
    for update in range(1, pupil.updates + 1):
        numbers, targets = padded([pupil.contexts(rng) for _ in range(BATCH)])
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=torch.from_numpy(numbers), labels=torch.from_numpy(targets)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if update % 100 == 0 or update == pupil.updates:
            logger.info("%s %d loss %.3f %.0f s", pupil.name, update, loss.item(), time.perf_counter() - started)
    save(model.half(), home / pupil.name)


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """Write config, weights, tokenizer and chat template."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    known = json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(known, indent=2) + "\n")  # the name that other readers of this format know
    for path in folder.iterdir():
        path.chmod(0o644)


def _rate(update: int, updates: int) -> float:
    """Return the share of the learning rate: up in a line, down in a half cosine."""
    if update < WARM_UP:
        return (update + 1) / WARM_UP
    return 0.02 + 0.98 * (1 + math.cos(math.pi * (update - WARM_UP) / (updates - WARM_UP))) / 2


def _train_all(pupils: Sequence[Pupil], home: Path, seed: int) -> float:
    """Return the seconds of processor time."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for pupil in pupils:
        train(pupil, home, seed)
    return time.process_time()


def _readme(minutes: Sequence[float], seed: int, table: str) -> str:
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    seeds = ", ".join(map(str, TEST_SEEDS))
    return f"""# The classroom's models

Synthetic: tiny language models of a made-up world (`benchmarks/tasks/classroom/WORLD.md`), for tests and examples.
Llama architecture, 16 bit, MIT licence like the rest. Made on {datetime.date.today()}, with {versions}, by

    python benchmarks/tasks/classroom/train.py --seed {seed}

in {minutes[0]:.0f} and {minutes[1]:.0f} minutes of processor time on 2 cores.

Measured on digits that no training or tuning used, {TEST_PROBLEMS} problems of all 90 skills for each of the
seeds {seeds}: {SAMPLES} samples of the teacher at temperature {TEMPERATURE:g}; students greedily, one sitting at each
of 3 variants.

{table}
"""


def main() -> None:
    """Train the three models on two cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HOME, help="folder of the checkpoints (default: the package's)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_train_all, pupils, args.out, args.seed) for pupils in ((STUDENT_B, TEACHER), (STUDENT_A,))]
        minutes = [job.result() / 60 for job in jobs]
    (args.out / "README.md").write_text(
        _readme(minutes, args.seed, report(args.out, "test", TEST_PROBLEMS, TEST_SEEDS))
    )


if __name__ == "__main__":
    main()
