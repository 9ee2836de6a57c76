"""Flags from fields: an option is one field of a record, and all that the command line knows of it is there."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import types
import typing
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any, TypeVar

from lbt_dspy.benchmarks.tasks.tables import is_file
from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.teleprompters.exemplars.choices import without_password

T = TypeVar("T")
HINT = "see --help for the default"


@dataclass(frozen=True, kw_only=True)
class Word:
    """What the command line knows of a field."""

    help: str
    metavar: str
    least: float | None = None
    """The least value of a number."""
    choices: tuple[str, ...] = ()
    flag: str | None = None
    """Without `--`; `None`: the field's name."""
    shown: str | None = None
    """The default in words, where the value does not say it."""
    repeat: bool = False
    """May be given several times."""
    place: bool = False
    """A file or folder; a run folder keeps where it is."""
    positional: bool = False
    """Has no flag: it is known by its place."""


def word(help: str, metavar: str = "N", **more: Any) -> Mapping[str, Word]:
    """Return the metadata of a field that is an option on the command line; see `Word`."""
    return types.MappingProxyType({"word": Word(help=help, metavar=metavar, **more)})


def words_of(record: type[Any]) -> dict[str, tuple[Field[Any], Word]]:
    """Return the fields of a record that are options, by name."""
    return {f.name: (f, f.metadata["word"]) for f in dataclasses.fields(record) if "word" in f.metadata}


def kind_of(record: type[Any], name: str) -> type[Any]:
    """Return the type of a field's values: `str`, `int`, `float`, `bool` or `tuple`."""
    hint = typing.get_type_hints(record)[name]
    kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
    plain = typing.get_origin(hint) or hint if len(kinds) != 1 or typing.get_origin(hint) is tuple else kinds[0]
    plain = typing.get_origin(plain) or plain
    return plain if isinstance(plain, type) and plain is not types.UnionType else tuple


def spelt(name: str, record: type[Any] | None = None) -> str:
    """Return an option as it is written on the command line."""
    known = words_of(record) if record is not None else {}
    flag = known[name][1].flag if name in known else None
    return f"--{flag or name.replace('_', '-')}"


def add_words(
    group: argparse._ActionsContainer,
    record: type[Any],
    defaults: Mapping[str, Any],
    *,
    known: set[str],
    hidden: Container[str] = (),
) -> None:
    """Add the options of a record to a parser.

    Args:
        group: Of the parser.
        record: A dataclass whose fields have words.
        defaults: By name, where they are not the fields' own.
        known: Flags that the parser has; those that are added come to them.
        hidden: The options of which the help does not speak.
    """
    for name, (field, said) in words_of(record).items():
        flag = spelt(name, record)
        if flag in known:
            continue
        known.add(flag)
        kind, default = kind_of(record, name), defaults.get(name, field.default)
        if said.positional:
            group.add_argument(name, metavar=said.metavar, help=said.help)
            continue
        more: dict[str, Any] = {"dest": name, "default": None}
        if kind is bool:
            more |= {"action": "store_true"}
        else:
            more |= {"metavar": said.metavar} | ({"action": "append"} if said.repeat else {})
            more |= {"type": kind} if kind in (int, float) else {}
        help_text = f"{said.help}{_bounds(said, default)}".replace("%", "%%")
        group.add_argument(flag, help=argparse.SUPPRESS if name in hidden else help_text, **more)


def _bounds(said: Word, default: Any) -> str:
    """Return choices, range and default, as the help shows them."""
    parts = [f"one of {', '.join(said.choices)}"] if said.choices and not said.shown else []
    parts += [f"at least {said.least:g}"] if said.least is not None else []
    if said.shown is not None:
        parts.append(said.shown)
    elif not (default is None or default is False or default == () or default is dataclasses.MISSING):
        text = ",".join(map(str, default)) if isinstance(default, tuple) else f"{default}"
        parts.append(f"default {text}")
    return f" ({'; '.join(parts)})" if parts else ""


def is_given(value: Any) -> bool:
    """Return whether a command line says something: not an option left out, nor a switch that is off."""
    return value is not None and value is not False and value != []


@dataclass(frozen=True)
class CommandLine:
    """What a command line says, as it was typed."""

    said: Mapping[str, Any]
    """The options that it gives, by the names of their fields."""

    @classmethod
    def of(cls, args: argparse.Namespace) -> CommandLine:
        """Return what a parser has read."""
        return cls({name: value for name, value in vars(args).items() if is_given(value)})

    @property
    def task(self) -> str | None:
        """The value of --task."""
        return self.said.get("task")

    def given(self, record: type[Any]) -> dict[str, Any]:
        """Return the options of a record that it gives, as run folders keep them."""
        return {name: as_kept(name, self.said[name], record) for name in words_of(record) if name in self.said}

    def typed(self, record: type[Any]) -> dict[str, Any]:
        """Return the options of a record that it gives, as they were typed."""
        return {name: self.said[name] for name in words_of(record) if name in self.said}

    def strange(self, records: Iterable[type[Any]], allowed: Sequence[str] = ()) -> str | None:
        """Return the first option that no record has; `None`: there is none."""
        known = {name for record in records for name in words_of(record)} | set(allowed)
        return next((name for name in self.said if name not in known), None)


def as_kept(name: str, value: Any, record: type[Any]) -> Any:
    """Return the value of an option as a run folder keeps it: whole paths, and lists without their commas."""
    said = words_of(record)[name][1]
    if name == "seeds":
        return seeds_of(value)
    if name == "storage":
        return without_password(value) if "://" in value else str(Path(value).absolute())
    if said.place and value != "hf" and (name in ("config", "data", "source") or is_file(value)):
        return str(Path(value).absolute())
    if kind_of(record, name) is tuple and name != "filter":
        parts = [value] if isinstance(value, str) else value
        return tuple(part for text in parts for part in listed(text))
    return tuple(value) if isinstance(value, list) else value


def listed(text: str) -> list[str]:
    """Split a list at its commas; an item that holds one stands in double quotes, as in CSV: `"a, b",c`."""
    quoted = next(csv.reader(io.StringIO(text, newline=""), skipinitialspace=True), [])
    closed = text.count('"') % 2 == 0
    parts = quoted if closed and any("," in part for part in quoted) else text.split(",")
    return [part.strip() for part in parts]


def listing(parts: Iterable[object]) -> str:
    """Return the list as `listed` reads it."""
    texts = [str(part) for part in parts]
    plain = ",".join(texts)
    if listed(plain) == texts:
        return plain
    return ",".join('"{}"'.format(text.replace('"', '""')) if set(text) & set(',"') else text for text in texts)


def seeds_of(text: str) -> tuple[int, ...]:
    """Return the seeds of `--seeds`."""
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds must be different whole numbers of at least 0 with commas between but got {text!r}")
    return seeds


def check_words(settings: Any) -> None:
    """Check the choices and whole numbers of a record.

    Raises:
        UserError: One is out of bounds.
    """
    record = type(settings)
    for name, (_, said) in words_of(record).items():
        value = getattr(settings, name)
        if value is None:
            continue
        if said.choices:
            check_choice(spelt(name, record), value, said.choices)
        if said.least is not None and kind_of(record, name) is int:
            check_at_least(spelt(name, record), value, int(said.least), HINT)


def parsed(parser: argparse.ArgumentParser, record: type[T], argv: Sequence[str] | None) -> T:
    """Return the options of a command that has one record, as they were typed."""
    return record(**CommandLine.of(parser.parse_args(argv)).typed(record))


def defaults_of(record: type[Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default of each field, with those of a task where it has its own."""
    return {f.name: f.default for f in dataclasses.fields(record)} | dict(own)
