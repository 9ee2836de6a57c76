"""The command line that gives a run again."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.words import defaults_of, listing, spelt, words_of
from lbt_dspy.benchmarks.tasks.tables import is_file


def command_of(settings: Any) -> str:
    """Return the command line that gives these settings; of folders and files only the names.

    Args:
        settings: A record of a method, with `own_defaults()`.
    """
    record, defaults = type(settings), defaults_of(type(settings), settings.own_defaults())
    given = {k: v for k, v in dataclasses.asdict(settings).items() if v is not None and v != ()}
    own = ("teacher", "students")
    if all(given.get(name) == defaults[name] for name in own):
        given = {name: value for name, value in given.items() if name not in own}
    if given.get("train") is not None:
        del given["task"]
    for name in words_of(record):
        if name in given and words_of(record)[name][1].place and _is_place(name, given[name]):
            given[name] = f"DIR/{Path(given[name]).name}"
    if "://" not in given.get("storage", "://"):
        given["storage"] = f"DIR/{Path(given['storage']).name}"
    words = ["lbt", "--method", settings.method] if settings.method == "m2" else ["lbt"]
    for name, value in given.items():
        if value is True:
            words.append(spelt(name, record))
        elif value != defaults[name] or (name in own and settings.method == "m3"):
            values = value if name == "filter" else [listing(value) if isinstance(value, tuple) else value]
            words += [part for v in values for part in (spelt(name, record), shlex.quote(str(v)))]
    return " ".join(words)


def _is_place(name: str, value: str) -> bool:
    return value != "hf" and (name in ("data", "config", "source") or is_file(value))
