"""How all commands speak: one line for a mistake, with the nearest flag."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        wrong = next((part.split("=")[0] for part in message.split() if part.startswith("--")), "")
        near = difflib.get_close_matches(wrong, flags, n=1) if message.startswith("unrecognized") else []
        hint = f"; did you mean {near[0]}?" if near else "; see --help"
        self.exit(2, f"{self.prog}: error: {message}{hint}\n")


def command_name() -> str:
    """Return the name under which this program was started."""
    return "lbt" if Path(sys.argv[0]).name == "lbt" else "benchmarks/run.py"
