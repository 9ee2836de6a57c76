"""What a run was asked to do: read from the command line, kept in the run folder, checked before any call."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lbt_dspy.benchmarks.search_flags import add_search_flags, search_settings
from lbt_dspy.benchmarks.table_files import is_file
from lbt_dspy.errors import UserError
from lbt_dspy.teleprompters.exemplar_search.choices import HIDDEN, without_password

SETTINGS_FILE = "run.json"
ON_RESUME = ("resume", "json", "max_calls", "max_cost", "workers", "quiet", "dry_run")
EMBEDDED_STUDENTS = "embedded/words,embedded/bayes,embedded/chars"
EMBEDDED_TEACHER = "embedded/teacher"
OWN_DATA = ("test", "question", "text_field", "label_field", "positive", "labels")
PLACES = ("config", "data", "train", "test")
"""Options that name a file or folder; a run folder keeps where it is."""
LISTS = ("text_field", "labels")
"""Options with commas between."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the results of a run; nothing that only decides how fast or where."""

    task: str
    """`fallacy`, `liar`, or the name of `train`."""
    method: str = "m3"
    teacher: str
    students: tuple[str, ...]
    config: str | None = None
    data: str | None = None
    filter: tuple[str, ...] = ()
    train: str | None = None
    """File or Hugging Face data set of a task of one's own; `None`: one of the tasks here."""
    test: str | None = None
    question: str | None = None
    text_field: tuple[str, ...] = ("text",)
    label_field: str = "label"
    positive: str | None = None
    labels: tuple[str, ...] = ()
    """Empty: those of the training examples."""
    program: str | None = None
    """`module:Name` of a program of one's own."""
    predictor: str | None = None
    search: str = "utility"
    init: str = "train"
    evaluator: str = "full"
    selection: str = "teacher"
    scoring: str = "auto"
    exemplars: int = 8
    rounds: int = 5
    selection_examples: int = 400
    evaluations: int | None = None
    minibatch: int = 64
    reflections: int = 4
    reflection_mix: int = 1
    beam: int = 4
    paraphrases: int = 0
    pool: int = 120
    draw: int | None = None
    typed_feedback: bool = False
    storage: str | None = None
    """Of `tpe`, without a password; `None`: a file in the run folder."""
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


def command_name() -> str:
    """Return the name under which this program was started."""
    return "lbt" if Path(sys.argv[0]).name == "lbt" else "benchmarks/run.py"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog=command_name(),
        allow_abbrev=False,
        description="Improve a classifier by teaching: M3 learns its in-context exemplars from students' mistakes, and "
        "is compared with fair baselines on held-out examples. Without models named it runs small statistical ones in "
        "process: no key, no download.",
        epilog="Two more commands, each with its own --help: `lbt predict` applies a compiled program to a file, "
        "`lbt compare` compares two runs. Exit codes: 0 done, 2 a mistake in the call, 3 budget spent (resumable), 1 "
        "anything else.",
    )
    p.add_argument("--task", metavar="NAME", help="fallacy or liar")
    p.add_argument("--method", metavar="NAME", help="m3 (default)")
    own = p.add_argument_group("a task of your own, instead of --task")
    own.add_argument("--train", metavar="FILE", help="CSV, JSONL or Parquet file, or Hugging Face data set NAME:SPLIT")
    own.add_argument("--test", metavar="FILE", help="the same, with the held-out examples")
    own.add_argument("--question", metavar="TEXT", help="what is asked about a text; it becomes the instruction")
    own.add_argument("--text-field", metavar="F", action="append", help="column with the text (text; repeatable)")
    own.add_argument("--label-field", metavar="L", help="column with the label (label)")
    own.add_argument("--positive", metavar="LABEL", help="of two labels the one whose F1 counts (the rarer one)")
    own.add_argument("--labels", metavar="A,B,C", help="all labels (those of the training examples)")
    program = p.add_argument_group("a program of your own")
    program.add_argument("--program", metavar="MODULE:NAME", help="a dspy.Module to compile, instead of one predictor")
    program.add_argument("--predictor", metavar="NAME", help="which of its predictors learns, where it has several")
    models = p.add_argument_group("models")
    models.add_argument("--teacher", metavar="NAME", help="the model that writes exemplars and is optimised")
    models.add_argument("--students", metavar="NAME,NAME", help="the models that sit the exams")
    models.add_argument("--config", metavar="FILE", help="a LiteLLM YAML whose model names may be used")
    data = p.add_argument_group("data")
    data.add_argument("--data", metavar="DIR", help="folder with train.jsonl and test.jsonl, or hf; default: shipped")
    data.add_argument("--filter", metavar="FIELD=VALUE", action="append", help="use only such rows (repeatable)")
    add_search_flags(p)
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
    if args.method not in (None, "m3"):
        raise UserError(f"--method must be m3 but got {args.method!r}")
    defaults = {f.name: f.default for f in dataclasses.fields(Settings)}
    chosen = search_settings(args, defaults)
    if args.predictor is not None and args.program is None:
        raise UserError(f"--predictor {args.predictor} needs --program MODULE:NAME, the program that has it")
    task = _own_task(args) if args.train is not None else _known_task(args)
    chosen |= {
        name: as_kept(name, getattr(args, name))
        for name in ("train", *OWN_DATA, "program", "predictor", "storage", *PLACES)
        if getattr(args, name) is not None
    }
    teacher, students = _models(args)
    return Settings(
        task=task,
        teacher=teacher,
        students=students,
        filter=tuple(args.filter or ()),
        seeds=_seeds(args.seeds),
        **chosen,
    )


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


def _known_task(args: argparse.Namespace) -> str:
    from lbt_dspy.benchmarks.labelled_data import TASKS

    given = next((name for name in OWN_DATA if getattr(args, name) is not None), None)
    if given is not None:
        raise UserError(f"--{given.replace('_', '-')} needs --train FILE: the training examples of a task of your own")
    if args.task not in TASKS:
        raise UserError(
            f"--task must be one of {', '.join(TASKS)} but got {args.task!r}; for a task of your own give --train FILE"
        )
    return str(args.task)


def _own_task(args: argparse.Namespace) -> str:
    """Return the name of a task of the user's own: that of its training examples."""
    for name in ("task", "data"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name} {getattr(args, name)} does not go with --train {args.train}; leave one out")
    for name, text in (("test", "FILE: the held-out examples"), ("question", "TEXT: what is asked about a text")):
        if not (getattr(args, name) or "").strip():
            raise UserError(f"--train {args.train} needs --{name} {text}")
    texts = as_kept("text_field", args.text_field or Settings.text_field)
    labels = as_kept("labels", args.labels or ())
    if "" in texts or len(set(texts)) < len(texts) or (args.label_field or Settings.label_field) in texts:
        raise UserError(
            f"--text-field must be different columns, none of them the label's, but got {', '.join(texts)!r}"
        )
    if args.labels is not None and ("" in labels or len(set(labels)) < max(len(labels), 2)):
        raise UserError(f"--labels must be two or more different names with commas between but got {args.labels!r}")
    return Path(args.train).stem if is_file(args.train) else Path(args.train.partition(":")[0]).name


def _resumed(args: argparse.Namespace) -> Settings:
    """Return the settings of the resumed run; what is given beside --resume must be the same."""
    saved = Settings.load(Path(args.resume))
    if saved.storage is not None and args.storage is None:
        if HIDDEN in saved.storage:
            raise UserError(
                f"--resume {args.resume} needs --storage again, since passwords are not kept: {saved.storage}"
            )
        args.storage = saved.storage
    for name, value in vars(args).items():
        if value in (None, False) or name in ON_RESUME or (name == "out" and Path(value) == Path(args.resume)):
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
