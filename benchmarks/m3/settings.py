"""What a run of M3 was asked to do: its options, checked before any call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.models import models_of
from lbt_dspy.benchmarks.shared.words import HINT, CommandLine, check_words, listing, spelt, word
from lbt_dspy.benchmarks.tasks.names import ANSWERED, EMBEDDED_STUDENTS, EMBEDDED_TEACHER, LABELLED
from lbt_dspy.benchmarks.tasks.tables import is_file
from lbt_dspy.errors import UserError, nearest_hint
from lbt_dspy.teleprompters.exemplars.choices import BOUNDS, CHOICES, check_options

METHOD = "m3"
OWN_DATA = ("test", "question", "text_field", "label_field", "positive", "labels")
"""Options of a task of the user's own."""


def _number(name: str, help_text: str, **more: Any) -> Mapping[str, Any]:
    return word(help_text, "N", least=BOUNDS[name], **more)


def _choice(name: str, help_text: str) -> Mapping[str, Any]:
    return word(help_text, "NAME", choices=CHOICES[name])


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """All that decides the results of a run of M3; nothing that only decides how fast or where."""

    task: str
    """`fallacy`, `liar`, or the name of `train`."""
    method: str = METHOD
    teacher: str = field(metadata=word("the model that writes exemplars and is optimised", "NAME"))
    students: tuple[str, ...] = field(metadata=word("the models that sit the exams", "NAME,NAME"))
    config: str | None = field(
        default=None, metadata=word("a LiteLLM YAML whose model names may be used", "FILE", place=True)
    )
    data: str | None = field(
        default=None,
        metadata=word("folder with the task's JSONL files, or hf", "DIR", place=True, shown="default: shipped"),
    )
    filter: tuple[str, ...] = field(
        default=(), metadata=word("use only such rows", "FIELD=VALUE", repeat=True, shown="repeatable")
    )
    train: str | None = field(
        default=None,
        metadata=word("CSV, JSONL or Parquet file, or Hugging Face data set NAME:SPLIT", "FILE", place=True),
    )
    """`None`: one of the tasks here."""
    test: str | None = field(default=None, metadata=word("the same, with the held-out examples", "FILE", place=True))
    question: str | None = field(
        default=None, metadata=word("what is asked about a text; it becomes the instruction", "TEXT")
    )
    text_field: tuple[str, ...] = field(
        default=("text",),
        metadata=word("column with the text", "F", repeat=True, shown='repeatable; default text; "A, B" with a comma'),
    )
    label_field: str = field(default="label", metadata=word("column with the label", "L"))
    positive: str | None = field(
        default=None, metadata=word("of two labels the one whose F1 counts", "LABEL", shown="default: the rarer one")
    )
    labels: tuple[str, ...] = field(
        default=(),
        metadata=word(
            "all labels", "A,B,C", shown='default: those of the training examples; with a comma in one: "A, B",C'
        ),
    )
    """Empty: those of the training examples."""
    program: str | None = field(
        default=None, metadata=word("a dspy.Module to compile, instead of one predictor", "MODULE:NAME")
    )
    predictor: str | None = field(
        default=None, metadata=word("which of its predictors learns, where it has several", "NAME")
    )
    search: str = field(
        default="utility",
        metadata=_choice("search", "utility: credits each exemplar; beam: the paper's loop; tpe: an Optuna study"),
    )
    init: str = field(
        default="train",
        metadata=_choice("init", "train: random exemplars; generate: the teacher writes them from the question"),
    )
    evaluator: str = field(
        default="full", metadata=_choice("evaluator", "beam: how sets are scored within --evaluations")
    )
    selection: str = field(default="teacher", metadata=_choice("selection", "who is scored"))
    scoring: str = field(
        default="auto",
        metadata=_choice("scoring", "auto: by label probabilities in exams where models give them"),
    )
    exemplars: int = field(default=8, metadata=_number("exemplars", "exemplars in a set"))
    rounds: int = field(default=5, metadata=_number("rounds", "rounds of criticism"))
    selection_examples: int = field(
        default=400,
        metadata=_number("selection_examples", "training examples on which sets are scored, or all"),
    )
    evaluations: int | None = field(
        default=None,
        metadata=_number(
            "evaluations", "most evaluations, one set on one selection example", shown="default: as beam needs"
        ),
    )
    minibatch: int = field(
        default=64, metadata=_number("minibatch", "training examples that the students answer in a round")
    )
    reflections: int = field(
        default=4, metadata=_number("reflections", "groups of failure cases per criticised set and round")
    )
    reflection_mix: int = field(
        default=1, metadata=_number("reflection_mix", "reflections that are combined for one revision")
    )
    beam: int = field(
        default=4, metadata=_number("beam", "sets kept after a round; utility scores twice as many at its end")
    )
    paraphrases: int = field(
        default=0, metadata=_number("paraphrases", "beam: how often the teacher says each new set in other words")
    )
    pool: int = field(default=120, metadata=_number("pool", "utility: exemplars among which it chooses"))
    draw: int | None = field(
        default=None,
        metadata=_number("draw", "utility: selection examples in one exam", shown="default: an eighth of them"),
    )
    typed_feedback: bool = field(default=False, metadata=word("ask for the kind of each mistake, and count kinds", ""))
    storage: str | None = field(
        default=None,
        metadata=word("tpe: a file or database that several runs share", "URL", shown="default: in the run folder"),
    )
    """Of `tpe`, without a password; `None`: a file in the run folder."""
    seeds: tuple[int, ...] = field(default=(0, 1, 2), metadata=word("one run per seed", "0,1,2"))

    def own_defaults(self) -> Mapping[str, Any]:
        """Return the defaults of the task, where they are not those of the fields."""
        return {"teacher": EMBEDDED_TEACHER, "students": EMBEDDED_STUDENTS}


SEARCH = tuple(f.name for f in dataclasses.fields(SearchSettings) if f.name in {*CHOICES, *BOUNDS, "typed_feedback"})
"""The options of `LbTExemplars` among them."""


def search_settings(line: CommandLine) -> SearchSettings:
    """Return the checked settings of a command line.

    Raises:
        UserError: An option is missing, out of bounds, or the chosen search would not look at it.
    """
    options = line.given(SearchSettings)
    defaults = {f.name: f.default for f in dataclasses.fields(SearchSettings)}
    values = {name: options.get(name, defaults[name]) for name in (*SEARCH, "storage")}
    check_options(values, defaults, spelt, HINT)
    if "predictor" in options and "program" not in options:
        raise UserError(f"--predictor {options['predictor']} needs --program MODULE:NAME, the program that has it")
    task = _own_task(line, options) if "train" in options else _known_task(line.task, options)
    models = models_of(options, {})
    if models["teacher"] is None:
        models = {"teacher": EMBEDDED_TEACHER, "students": EMBEDDED_STUDENTS}
    settings = SearchSettings(**{**options, **models, "task": task})
    check_words(settings)
    return settings


def _known_task(task: str | None, options: Mapping[str, Any]) -> str:
    own = next((name for name in OWN_DATA if name in options), None)
    if own is not None:
        raise UserError(f"{spelt(own)} needs --train FILE: the training examples of a task of your own")
    if task not in LABELLED:
        known = (*LABELLED, *ANSWERED)
        raise UserError(
            f"--task must be one of {', '.join(known)} but got {task!r}{nearest_hint(task, known)}; for a task of your "
            "own give --train FILE"
        )
    return task


def _own_task(line: CommandLine, options: Mapping[str, Any]) -> str:
    """Return the name of a task of the user's own: that of its training examples."""
    train = line.said["train"]
    for name in ("task", "data"):
        if name in line.said:
            raise UserError(f"--{name} {line.said[name]} does not go with --train {train}; leave one out")
    for name, text in (("test", "FILE: the held-out examples"), ("question", "TEXT: what is asked about a text")):
        if not options.get(name, "").strip():
            raise UserError(f"--train {train} needs --{name} {text}")
    texts = options.get("text_field", ("text",))
    if "" in texts or len(set(texts)) < len(texts) or options.get("label_field", "label") in texts:
        raise UserError(
            f"--text-field must be different columns, none of them the label's, but got {', '.join(texts)!r}"
        )
    labels = options.get("labels")
    if labels is not None and ("" in labels or len(set(labels)) < max(len(labels), 2)):
        raise UserError(
            f"--labels must be two or more different names with commas between but got {listing(labels)!r}; quote one "
            'that holds a comma: "A, B",C'
        )
    return Path(train).stem if is_file(train) else Path(train.partition(":")[0]).name
