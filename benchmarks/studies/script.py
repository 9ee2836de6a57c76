"""How the commands of single measurements end: an exit code and one line, whatever happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from lbt_dspy.benchmarks.shared.signals import stops_as_interrupts
from lbt_dspy.errors import LbTError


def exit_code_of(run: Callable[[], None], stopped: str = "stopped") -> int:
    """Run a command and return its exit code.

    Args:
        run: The command.
        stopped: What is said on Ctrl-C.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        with stops_as_interrupts():
            run()
        return 0
    except LbTError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 1
