"""What a run was asked to do: read from the command line, kept in the run folder, checked before any call."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lbt_dspy.benchmarks.cli.kept_settings import as_kept, resumed
from lbt_dspy.benchmarks.m1.settings import NAMES as RERANK_OPTIONS
from lbt_dspy.benchmarks.m1.settings import TASKS as RERANK_TASKS
from lbt_dspy.benchmarks.m1.settings import RerankSettings, add_rerank_flags, is_rerank, rerank_settings
from lbt_dspy.benchmarks.m2.settings import METHOD as TUNING
from lbt_dspy.benchmarks.m2.settings import NAMES as TUNING_OPTIONS
from lbt_dspy.benchmarks.m2.settings import SHARED as TUNING_SHARED
from lbt_dspy.benchmarks.m2.settings import TuningSettings, add_tuning_flags, tuning_settings
from lbt_dspy.benchmarks.m3.flags import NAMES as SEARCH_OPTIONS
from lbt_dspy.benchmarks.m3.flags import PLACES, add_search_flags, search_settings
from lbt_dspy.benchmarks.tasks.tables import is_file
from lbt_dspy.errors import UserError

EMBEDDED_STUDENTS = "embedded/words,embedded/bayes,embedded/chars"
EMBEDDED_TEACHER = "embedded/teacher"
OWN_DATA = ("test", "question", "text_field", "label_field", "positive", "labels")
ONLY_M3 = (
    *(name for name in (*SEARCH_OPTIONS, "storage") if name != "selection"),
    *("train", *OWN_DATA, "program", "predictor", "filter"),
)


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


AnySettings = Settings | RerankSettings | TuningSettings


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
        description="Better answers by teaching. M3 improves a classifier: it learns in-context exemplars from "
        "students' mistakes. M1 answers hard questions: of many sampled answers it picks the one whose solutions teach "
        "students best. M2 trains the teacher on its lessons that taught best. All are compared with fair baselines. "
        "Without models named M3 runs small statistical ones in process, and the task classroom tiny language models: "
        "no key, no download.",
        epilog="Two more commands, each with its own --help: `lbt predict` applies a compiled program to a file, "
        "`lbt compare` compares two runs. Exit codes: 0 done, 2 a mistake in the call, 3 budget spent (resumable), 1 "
        "anything else.",
    )
    p.add_argument("--task", metavar="NAME", help="fallacy or liar (M3), classroom, math or code (M1)")
    p.add_argument("--method", metavar="NAME", help="m1, m2 or m3 (m1 or m3, as the task has it)")
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
    data.add_argument("--data", metavar="DIR", help="folder with the task's JSONL files, or hf; default: shipped")
    data.add_argument("--filter", metavar="FIELD=VALUE", action="append", help="M3: use only such rows (repeatable)")
    add_search_flags(p)
    add_rerank_flags(p)
    add_tuning_flags(p)
    run = p.add_argument_group("run")
    run.add_argument("--out", metavar="DIR", help="the run folder (default: runs/<time>-<task>)")
    run.add_argument("--resume", metavar="DIR", help="go on with a stopped run; what was paid for is not asked again")
    run.add_argument("--json", metavar="FILE", help="write results.json there too; - is standard output")
    run.add_argument("--max-calls", metavar="N", type=int, help="stop before call N + 1 of this folder (exit code 3)")
    run.add_argument("--max-cost", metavar="USD", type=float, help="stop before more could be spent (exit code 3)")
    run.add_argument("--dry-run", action="store_true", help="print the largest possible number of calls; make none")
    run.add_argument("--workers", metavar="N", type=int, help="requests in flight (8; classroom 32); no result changes")
    add_client_flag(run)
    run.add_argument("--quiet", action="store_true", help="no progress; the table only")
    return p


def add_client_flag(parser: argparse._ActionsContainer) -> None:
    """Add the option that says who sends requests."""
    parser.add_argument(
        "--client", metavar="NAME", default="auto",
        help="who sends requests: lean (servers that speak OpenAI's chat API), litellm, or auto: lean where it can",
    )  # fmt: skip


def settings_of(args: argparse.Namespace) -> AnySettings:
    """Return the checked settings of a command line: of M1, M2 or M3.

    Raises:
        UserError: An option is missing, out of bounds, or does not go with another.
    """
    if args.resume is not None:
        return resumed(args)
    if args.method == TUNING:
        others = [name for name in (*ONLY_M3, *RERANK_OPTIONS, "selection") if name not in TUNING_SHARED]
        return tuning_settings(args, others=tuple(others))
    if is_rerank(args):
        return rerank_settings(args, others=(*ONLY_M3, *TUNING_OPTIONS))
    if args.method == "m3" and args.task in RERANK_TASKS:
        raise UserError(f"--task {args.task} is for --method m1; leave --method out")
    if args.method not in (None, "m3"):
        raise UserError(f"--method must be m1, m2 or m3 but got {args.method!r}")
    for names, method in ((RERANK_OPTIONS, "m1"), (TUNING_OPTIONS, TUNING)):
        for name in names:
            if getattr(args, name) is not None:
                raise UserError(f"--{name.replace('_', '-')} is an option of --method {method}; see --help")
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
    teacher, students = model_names(args)
    return Settings(
        task=task,
        teacher=teacher,
        students=students,
        filter=tuple(args.filter or ()),
        seeds=seeds_of(args.seeds, Settings.seeds),
        **chosen,
    )


def _known_task(args: argparse.Namespace) -> str:
    from lbt_dspy.benchmarks.tasks.classification.data import TASKS

    given = next((name for name in OWN_DATA if getattr(args, name) is not None), None)
    if given is not None:
        raise UserError(f"--{given.replace('_', '-')} needs --train FILE: the training examples of a task of your own")
    if args.task not in TASKS:
        raise UserError(
            f"--task must be one of {', '.join((*TASKS, *RERANK_TASKS))} but got {args.task!r}; for a task of your own "
            "give --train FILE"
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


def model_names(args: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    """Return the names of the teacher and the students; the embedded ones when none is given."""
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


def seeds_of(text: str | None, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return the seeds of `--seeds`."""
    if text is None:
        return default
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds must be different whole numbers of at least 0 with commas between but got {text!r}")
    return seeds
