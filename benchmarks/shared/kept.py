"""What a run folder keeps of what was asked: run.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbt_dspy.errors import UserError

SETTINGS_FILE = "run.json"


def save_record(settings: Any, folder: Path) -> None:
    """Write the settings of a run into its folder."""
    (folder / SETTINGS_FILE).write_text(json.dumps(dataclasses.asdict(settings), indent=1) + "\n", encoding="utf-8")


def load_record(folder: Path, kinds: Mapping[str, type[Any]]) -> Any:
    """Read the settings of a run; `None` where its method is not among the kinds.

    Args:
        folder: Of the run.
        kinds: Records by the name of their method.

    Raises:
        UserError: It is no run folder.
    """
    try:
        values = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        kind = kinds.get(values.get("method", "m3"))
        return None if kind is None else kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        raise UserError(
            f"--resume {folder} is no run folder (no readable {SETTINGS_FILE}); name the folder that a run printed"
        ) from None
