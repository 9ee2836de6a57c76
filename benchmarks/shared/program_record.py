"""What `lbt predict` must know of a compiled program. It stands in program.json's metadata, which DSPy leaves alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask
from lbt_dspy.errors import UserError

KEY = "lbt_dspy"


@dataclass(frozen=True, kw_only=True)
class ProgramRecord:
    """The task that a program was compiled for, and with what."""

    task: ClassificationTask
    teacher: str
    program: str | None
    """`module:Name` of the user's own program; `None`: the built-in classifier."""
    predictor: str | None

    def add_to(self, path: Path) -> None:
        """Write into the metadata of a saved program."""
        state = json.loads(path.read_text(encoding="utf-8"))
        state["metadata"][KEY] = dataclasses.asdict(self)
        path.write_text(json.dumps(state, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_program(path: Path) -> tuple[ProgramRecord, Mapping[str, Any]]:
    """Return the record and the state of a saved program.

    Raises:
        UserError: It is no program that `lbt` has compiled.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        values = state["metadata"][KEY]
        task: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["task"].items()}
        return ProgramRecord(**{**values, "task": ClassificationTask(**task)}), state
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name the program.json of a run") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is no program of an `lbt` run; name the program.json in a run folder") from None
