"""A vLLM server for a checkpoint: the command that starts it, and a process that it runs in."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dspy

from lbt_dspy.errors import LbTError, UserError
from lbt_dspy.lms.roles import LMRoles

STOP_SECONDS = 20
POLL_SECONDS = 0.5
LOG_KEPT = 300


def vllm_command(checkpoint: Path, name: str | None = None) -> str:
    """Return the command line that serves a checkpoint."""
    return shlex.join(["vllm", "serve", str(checkpoint), "--served-model-name", name or name_of(checkpoint)])


def name_of(checkpoint: Path) -> str:
    """Return the name under which a checkpoint is served: those of its folder and the one around it."""
    return "-".join(Path(checkpoint).absolute().parts[-2:])


@dataclass(frozen=True, kw_only=True)
class VLLM:
    """Serves checkpoints: called with one it starts a vLLM server in a process of its own, and gives the LM.

    The servers end with this process at the latest; `stop` ends them now.

    Args:
        arguments: More of the server's command line, e.g. `("--max-model-len", "4096")`.
        environment: More of its environment.
        seconds: How long a server may take to start.
        python: The Python that has vLLM; `None`: this one.
    """

    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 1800.0
    python: str | None = None
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False, repr=False, compare=False)

    def __call__(self, checkpoint: Path) -> dspy.LM:
        """Start a server, and return its LM; raises what `start` does."""
        name, address = self.start(checkpoint)
        return LMRoles().lms([f"hosted_vllm/{name}@{address}"])[0]

    def start(self, checkpoint: Path) -> tuple[str, str]:
        """Start a server, and wait until it answers.

        Returns:
            The model's name there, and the address, `http://127.0.0.1:PORT/v1`.

        Raises:
            UserError: vLLM is not installed.
            LbTError: The server does not start.
        """
        if self.python is None and importlib.util.find_spec("vllm") is None:
            raise UserError(
                "vLLM is not installed: pip install 'lbt_dspy[vllm]', or serve the model elsewhere: "
                + vllm_command(checkpoint)
            )
        port, name = _free_port(), name_of(checkpoint)
        command = [
            self.python or sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint),
            "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port), *self.arguments,
        ]  # fmt: skip
        with tempfile.NamedTemporaryFile(prefix="lbt-vllm-", suffix=".log", delete=False) as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **self.environment},
            )  # fmt: skip
        self._running.append(process)
        atexit.register(self.stop)
        self._wait(process, port, Path(log.name))
        return name, f"http://127.0.0.1:{port}/v1"

    def stop(self) -> None:
        """End all servers that were started."""
        while self._running:
            process = self._running.pop()
            for sign in (signal.SIGINT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, sign)
                    process.wait(STOP_SECONDS)

    def _wait(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
            time.sleep(POLL_SECONDS)
        why = f"ended with code {process.returncode}" if process.poll() is not None else f"took over {self.seconds:g} s"
        said = " ".join(log.read_text(errors="replace").split())[-LOG_KEPT:]
        self.stop()
        raise LbTError(f"the vLLM server {why}; its last words, of {log}: {said}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
