"""Real vLLM servers, each with one of the classroom's checkpoints."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from lbt_dspy.lms.embedded.classroom import FOLDER

BLOCK = 32
"""Tokens of a block of the prefix cache; vLLM takes no fewer on a CPU."""
START_SECONDS, STOP_SECONDS = 400, 20
SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # two servers on two cores must not be bound to the same one
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server."""

    model: str
    port: int
    process: subprocess.Popen
    log: Path

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def name(self):
        """As the library names it."""
        return f"hosted_vllm/{self.model}@{self.base_url}"

    def post(self, path, **body):
        request = urllib.request.Request(
            self.base_url + path,
            json.dumps({"model": self.model, **body}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def metric(self, name):
        """Return a counter of /metrics, e.g. `prefix_cache_hits_total`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as response:
            text = response.read().decode()
        return sum(float(value) for value in re.findall(rf"^vllm:{name}{{.*}} (\S+)$", text, re.MULTILINE))

    def wait(self):
        """Poll /health until the server is up."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5),
            ):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.5)
        raise RuntimeError(f"vLLM did not start; its last words:\n{self.log.read_text()[-4000:]}")

    def stop(self):
        """Stop the server and whatever of its processes is left after it."""
        tree = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        if self.process.poll() is None:
            self.process.kill()
        for process in psutil.wait_procs(tree, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@contextlib.contextmanager
def serving(models, folder):
    """Start one server per model, all at once, with their logs in `folder`; gives them by name."""
    servers = {}
    try:
        for model in models:
            servers[model] = _start(model, folder / f"{model}.log")
        for server in servers.values():
            server.wait()
        yield servers
    finally:
        for server in servers.values():
            server.stop()


def _start(model, log):
    port = _free_port()
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(FOLDER / model),
        "--served-model-name", model, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32",
        "--max-model-len", "512", "--enforce-eager", "--block-size", str(BLOCK), "--disable-uvicorn-access-log",
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | SETTINGS)
    return Server(model=model, port=port, process=process, log=log)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
