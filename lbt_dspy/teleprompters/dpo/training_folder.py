"""The folder of a training: whether it is done, and where it goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lbt_dspy.errors import LbTError, UserError
from lbt_dspy.teleprompters.dpo.options import DPOSettings, Training

DIGEST_BYTES = 16


class TrainingFolder:
    """What a folder holds of one training.

    Args:
        folder: Where `checkpoint` and `training.json` are, or will be.
        rows: The pairs.
        base: The model that the training begins with.
        settings: Of the training. A folder of another training, by what it is made of, counts as empty.
    """

    def __init__(
        self, folder: Path, rows: Sequence[Mapping[str, Any]], base: str | Path, settings: DPOSettings
    ) -> None:
        self.folder = folder
        self.checkpoint = folder / "checkpoint"
        self.digest = digest_of([list(rows), base_state(base), dataclasses.asdict(settings)])
        self.work = folder / f"training-{self.digest}"

    def finished(self) -> Training | None:
        """Return the record of this very training, when it is done."""
        try:
            record = Training(**json.loads((self.folder / "training.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        there = (self.checkpoint / "config.json").is_file()
        return record if there and record.digest == self.digest else None

    def last_save(self) -> str | None:
        """Return the newest save of this very training; those of others are taken away."""
        for other in self.folder.glob("training-*"):
            if other.is_dir() and other != self.work:
                shutil.rmtree(other, ignore_errors=True)
        saves = [path for path in self.work.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
        return str(max(saves, key=lambda path: int(path.name.rpartition("-")[2]))) if saves else None


def made_folder(folder: Path) -> Path:
    """Return a folder, made where it is not there.

    Raises:
        UserError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made ({error.strerror}); name another") from None
    return folder


def base_state(base: str | Path) -> list[Any]:
    """Return what tells one model from another: the content of small files, the size and time of large ones."""
    path = Path(base)
    if not path.is_dir():
        return [str(base)]
    return [
        [file.name, digest_of(file.read_bytes().hex()) if file.stat().st_size < 1 << 24 else list(_state(file))]
        for file in sorted(path.iterdir())
        if file.is_file()
    ]


def digest_of(value: Any) -> str:
    """Return a digest of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _state(file: Path) -> tuple[int, int]:
    return file.stat().st_size, file.stat().st_mtime_ns


class NotANumberError(LbTError):
    """The loss of a training, or its gradient, is no number any more."""


@contextlib.contextmanager
def said_plainly(folder: Path, settings: DPOSettings) -> Iterator[None]:
    """Say what went wrong in a training, and what would help; the pairs beside it are kept in any case."""
    kept = f"the pairs in {folder} are kept"
    try:
        yield
    except NotANumberError as error:
        raise NotANumberError(
            f"training diverged: {error}; {kept}. Lower learning_rate ({settings.learning_rate:g})"
        ) from None
    except Exception as error:  # of four libraries, each with errors of its own
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in said:
            raise UserError(f"{folder} has no room for the model; {kept}. Name a folder with room in it") from None
        if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in said.lower()):
            raise LbTError(
                f"training ran out of memory; {kept}. Lower batch_size ({settings.batch_size}), or train fewer "
                f'weights: lora={{"r": 16}}. ({said})'
            ) from None
        if isinstance(error, OSError):
            raise UserError(f"the model cannot be trained ({said}); {kept}") from None
        raise
