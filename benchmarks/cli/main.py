"""The command line: which command, and what it ends with."""

from __future__ import annotations

import importlib
import os
import sys

from lbt_dspy.benchmarks.shared.signals import stops_as_interrupts
from lbt_dspy.errors import LbTError

COMMANDS = {name: f"lbt_dspy.benchmarks.cli.{name}" for name in ("predict", "compare", "doctor")}

FLAGS = ("config", "client", "storage")
"""Arguments of the library that are given to it as flags."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        with stops_as_interrupts():
            if words and words[0] in COMMANDS:
                command = importlib.import_module(COMMANDS[words[0]])
                return int(command.execute(words[1:]))
            return _run(words)
    except LbTError as error:
        print(f"error: {with_flag(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def with_flag(message: str) -> str:
    """Return what the library says of an argument, which it names first, as said of the flag of that name."""
    first, space, rest = message.partition(" ")
    return f"--{first}{space}{rest}" if first in FLAGS else message


def _run(words: list[str]) -> int:
    from lbt_dspy.benchmarks.cli.parser import parser
    from lbt_dspy.benchmarks.cli.settings import settings_of
    from lbt_dspy.benchmarks.shared.run_options import run_options
    from lbt_dspy.benchmarks.shared.words import CommandLine

    line = CommandLine.of(parser(words).parse_args(words))
    settings = settings_of(line)
    options = run_options(line, settings.task, getattr(settings, "storage", None))
    from lbt_dspy.benchmarks.cli.running import execute

    return execute(settings, options)
