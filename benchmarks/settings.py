"""What a run was asked to do: read from the command line, kept in the run folder, checked before any call."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lbt_dspy.errors import UserError, check_at_least

SETTINGS_FILE = "run.json"
ON_RESUME = ("resume", "json", "max_calls", "max_cost", "workers", "quiet", "dry_run")
EMBEDDED_STUDENTS = "embedded/words,embedded/bayes,embedded/chars"
EMBEDDED_TEACHER = "embedded/teacher"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the results of a run; nothing that only decides how fast or where."""

    task: str
    method: str = "m3"
    teacher: str
    students: tuple[str, ...]
    config: str | None = None
    data: str | None = None
    filter: tuple[str, ...] = ()
    exemplars: int = 8
    selection_examples: int = 400
    minibatch: int = 64
    beam: int = 4
    reflections: int = 4
    rounds: int = 5
    seeds: tuple[int, ...] = (0, 1, 2)

    def save(self, folder: Path) -> None:
        """Write into a run folder."""
        (folder / SETTINGS_FILE).write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Settings:
        """Read from a run folder.

        Raises:
            UserError: It is no run folder.
        """
        try:
            values = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            raise UserError(
                f"--resume {folder} is no run folder (no readable {SETTINGS_FILE}); name the folder that a run printed"
            ) from None


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        wrong = next((word.split("=")[0] for word in message.split() if word.startswith("--")), "")
        near = difflib.get_close_matches(wrong, flags, n=1) if message.startswith("unrecognized") else []
        hint = f"; did you mean {near[0]}?" if near else "; see --help"
        self.exit(2, f"{self.prog}: error: {message}{hint}\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog="lbt" if Path(sys.argv[0]).name == "lbt" else "benchmarks/run.py",
        allow_abbrev=False,
        description="Improve a classifier by teaching: M3 learns its in-context exemplars from students' mistakes, and "
        "is compared with fair baselines on held-out examples. Without models named it runs small statistical ones in "
        "process: no key, no download.",
        epilog="Exit codes: 0 done, 2 a mistake in the call, 3 budget spent (resumable), 1 anything else.",
    )
    p.add_argument("--task", metavar="NAME", help="fallacy or liar")
    p.add_argument("--method", metavar="NAME", help="m3 (default)")
    models = p.add_argument_group("models")
    models.add_argument("--teacher", metavar="NAME", help="the model that writes exemplars and is optimised")
    models.add_argument("--students", metavar="NAME,NAME", help="the models that sit the exams")
    models.add_argument("--config", metavar="FILE", help="a LiteLLM YAML whose model names may be used")
    data = p.add_argument_group("data")
    data.add_argument("--data", metavar="DIR", help="folder with train.jsonl and test.jsonl, or hf; default: shipped")
    data.add_argument("--filter", metavar="FIELD=VALUE", action="append", help="use only such rows (repeatable)")
    search = p.add_argument_group("search")
    for flag, text in (
        ("--exemplars", "exemplars in a set (8)"),
        ("--selection-examples", "training examples on which sets are scored (400, or all there are)"),
        ("--minibatch", "training examples that the students answer in a round (64)"),
        ("--beam", "sets kept after a round (4)"),
        ("--reflections", "groups of failure cases per kept set and round (4)"),
        ("--rounds", "rounds (5)"),
    ):
        search.add_argument(flag, metavar="N", type=int, help=text)
    search.add_argument("--seeds", metavar="0,1,2", help="one run per seed (0,1,2)")
    run = p.add_argument_group("run")
    run.add_argument("--out", metavar="DIR", help="the run folder (default: runs/<time>-<task>)")
    run.add_argument("--resume", metavar="DIR", help="go on with a stopped run; what was paid for is not asked again")
    run.add_argument("--json", metavar="FILE", help="write results.json there too; - is standard output")
    run.add_argument("--max-calls", metavar="N", type=int, help="stop before call N + 1 of this folder (exit code 3)")
    run.add_argument("--max-cost", metavar="USD", type=float, help="stop before more could be spent (exit code 3)")
    run.add_argument("--dry-run", action="store_true", help="print the largest possible number of calls; make none")
    run.add_argument("--workers", metavar="N", type=int, help="requests in flight (8); does not change results")
    run.add_argument("--quiet", action="store_true", help="no progress; the table only")
    return p


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the checked settings of a command line.

    Raises:
        UserError: An option is missing, out of bounds, or does not go with another.
    """
    if args.resume is not None:
        return _resumed(args)
    from lbt_dspy.benchmarks.labelled_data import TASKS

    if args.task not in TASKS:
        raise UserError(f"--task must be one of {', '.join(TASKS)} but got {args.task!r}")
    if args.method not in (None, "m3"):
        raise UserError(f"--method must be m3 but got {args.method!r}")
    for name, bound in (
        ("exemplars", 1), ("selection_examples", 1), ("minibatch", 1), ("beam", 1), ("reflections", 1), ("rounds", 0),
    ):  # fmt: skip
        if getattr(args, name) is not None:
            check_at_least(f"--{name.replace('_', '-')}", getattr(args, name), bound, "see --help for the default")
    chosen = {
        name: getattr(args, name)
        for name in ("exemplars", "selection_examples", "minibatch", "beam", "reflections", "rounds")
        if getattr(args, name) is not None
    }
    teacher, students = _models(args)
    return Settings(
        task=args.task,
        teacher=teacher,
        students=students,
        config=None if args.config is None else str(Path(args.config).absolute()),
        data=args.data if args.data in (None, "hf") else str(Path(args.data).absolute()),
        filter=tuple(args.filter or ()),
        seeds=_seeds(args.seeds),
        **chosen,
    )


def _resumed(args: argparse.Namespace) -> Settings:
    """Return the settings of the resumed run; what is given beside --resume must be the same."""
    saved = Settings.load(Path(args.resume))
    for name, value in vars(args).items():
        if value in (None, False) or name in ON_RESUME or (name == "out" and Path(value) == Path(args.resume)):
            continue
        held = getattr(saved, name, None)
        if name in ("config", "data") and value != "hf":
            value = str(Path(value).absolute())
        if isinstance(held, tuple):
            held = ",".join(map(str, held))
            value = ",".join(value) if isinstance(value, list) else value
        if value != held:
            raise UserError(
                f"--{name.replace('_', '-')} cannot be changed on --resume: the run in {args.resume} has {held!r}; "
                "begin a new one with --out"
            )
    return saved


def _models(args: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    if args.teacher is None and args.students is not None:
        raise UserError(f"--students {args.students} needs a --teacher: the model that writes the exemplars")
    if args.teacher is None and args.config is not None:
        raise UserError(f"--config {args.config} needs a --teacher, one of its model names")
    if args.teacher is None:
        return EMBEDDED_TEACHER, tuple(EMBEDDED_STUDENTS.split(","))
    names = [] if args.students is None else [name.strip() for name in args.students.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"--students must be different names with commas between but got {args.students!r}")
    return args.teacher, tuple(names)


def _seeds(text: str | None) -> tuple[int, ...]:
    if text is None:
        return Settings.seeds
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds must be different whole numbers of at least 0 with commas between but got {text!r}")
    return seeds
