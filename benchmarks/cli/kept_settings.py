"""What a run folder keeps of a command line, and what --resume makes of it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbt_dspy.benchmarks.m3.flags import PLACES
from lbt_dspy.benchmarks.tasks.tables import is_file
from lbt_dspy.errors import UserError
from lbt_dspy.teleprompters.exemplars.choices import HIDDEN, without_password

if TYPE_CHECKING:
    from lbt_dspy.benchmarks.cli.settings import AnySettings

SETTINGS_FILE = "run.json"
ON_RESUME = ("resume", "json", "max_calls", "max_cost", "workers", "client", "quiet", "dry_run", "allow_weak_sandbox")
LISTS = ("text_field", "labels")
"""Options with commas between."""


def save_settings(settings: AnySettings, folder: Path) -> None:
    """Write the settings into a run folder."""
    (folder / SETTINGS_FILE).write_text(json.dumps(dataclasses.asdict(settings), indent=1) + "\n", encoding="utf-8")


def load_settings(folder: Path) -> AnySettings:
    """Read the settings of a run folder.

    Raises:
        UserError: It is no run folder.
    """
    from lbt_dspy.benchmarks.cli.settings import Settings
    from lbt_dspy.benchmarks.m1.settings import METHOD, RerankSettings
    from lbt_dspy.benchmarks.m2.settings import METHOD as TUNING
    from lbt_dspy.benchmarks.m2.settings import TuningSettings

    try:
        values = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        kinds = {METHOD: RerankSettings, TUNING: TuningSettings}
        return kinds.get(values.get("method"), Settings)(**values)
    except (OSError, ValueError, TypeError, AttributeError):
        raise UserError(
            f"--resume {folder} is no run folder (no readable {SETTINGS_FILE}); name the folder that a run printed"
        ) from None


def as_kept(name: str, value: Any) -> Any:
    """Return the value of an option as a run folder keeps it: whole paths, and lists without their commas."""
    if name in LISTS:
        words = [value] if isinstance(value, str) else value
        return tuple(part.strip() for word in words for part in word.split(","))
    if name == "storage":
        return without_password(value) if "://" in value else str(Path(value).absolute())
    if name in PLACES and value != "hf" and (name in ("config", "data") or is_file(value)):
        return str(Path(value).absolute())
    return value


def resumed(args: argparse.Namespace) -> AnySettings:
    """Return the settings of the resumed run; what is given beside --resume must be the same."""
    saved = load_settings(Path(args.resume))
    storage = getattr(saved, "storage", None)
    if storage is not None and args.storage is None:
        if HIDDEN in storage:
            raise UserError(f"--resume {args.resume} needs --storage again, since passwords are not kept: {storage}")
        args.storage = storage
    for name, value in vars(args).items():
        if value is None or value is False or name in ON_RESUME or (name == "out" and Path(value) == Path(args.resume)):
            continue
        held, value = getattr(saved, name, None), as_kept(name, value)
        if isinstance(held, tuple):
            held = ",".join(map(str, held))
            value = ",".join(value) if isinstance(value, list | tuple) else value
        if value != held:
            raise UserError(
                f"--{name.replace('_', '-')} cannot be changed on --resume: the run in {args.resume} has {held!r}; "
                "begin a new one with --out"
            )
    return saved
