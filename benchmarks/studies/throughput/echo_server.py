"""A server that speaks the OpenAI chat API and answers after a fixed time: what clients are measured against.

`python benchmarks/studies/throughput/echo_server.py --latency 0.05` prints its address and serves until it is ended. It
holds no model: an answer is a label after one sentence, in the layout of DSPy's ChatAdapter, both decided by a checksum
of the request, so that equal requests have equal answers and different ones different texts. It can be told to fail as
real servers do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from aiohttp import web

MODEL = "test-model"
LABELS = ("Yes", "No")
LATENCY = 0.05
"""Seconds."""
RETRY_AFTER = 0.05
"""Seconds that status 429 asks to wait."""
BACKLOG = 1024
LARGEST_BODY = 64 * 2**20
ANSWER = """[[ ## reasoning ## ]]
The lesson asks for the premises first, and passage {mark} gives them the weight that the conclusion needs.

[[ ## label ## ]]
{label}

[[ ## completed ## ]]"""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How often requests fail: shares of them, which add up to at most 1; a request meets one fault at most.

    The seed and the number of requests before it decide which one a request meets, so a retry is decided anew.
    """

    rate_limit: float = 0.0
    """Status 429 with Retry-After, at once."""
    server_error: float = 0.0
    """Status 500, at once."""
    disconnect: float = 0.0
    """The connection is closed at once, without an answer."""
    hang: float = 0.0
    """Nothing comes until the client leaves."""
    malformed: float = 0.0
    """Status 200 after the usual time, with JSON that is cut off."""
    seed: int = 0

    def of(self, number: int) -> str | None:
        """Return the fault that a request meets by its number, from 0; `None`: none."""
        digest = hashlib.blake2b(f"{self.seed} {number}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        for kind in FAULTS:
            place -= getattr(self, kind)
            if place < 0:
                return kind
        return None


FAULTS = tuple(field.name for field in fields(Faults) if field.name != "seed")


class EchoServer:
    """Answers, and counts what it is asked.

    Args:
        latency: Seconds from a request's arrival to its answer, at least 0.
        faults: What requests meet instead of an answer; `None`: nothing.
    """

    def __init__(self, latency: float, faults: Faults | None = None) -> None:
        self.latency = latency
        self.faults = Faults() if faults is None else faults
        self.requests = self.choices = self.prompt_characters = 0
        self.failed = dict.fromkeys(FAULTS, 0)

    def application(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/stats", self.stats)
        return app

    async def complete(self, request: web.Request) -> web.Response:
        """Answer one request with `n` choices, or fail it."""
        fault = self.faults.of(self.requests)
        self.requests += 1
        body = await request.read()
        asked = json.loads(body)
        n = asked.get("n") or 1
        size = sum(len(message["content"]) for message in asked["messages"])
        self.choices += n
        self.prompt_characters += size
        if fault is not None:
            self.failed[fault] += 1
        if fault not in (None, "malformed"):
            return await failure(request, fault)
        await asyncio.sleep(self.latency)
        text = json.dumps(completion(asked["model"], zlib.crc32(body), n, size // 4))
        return web.json_response(text=text if fault is None else text[: len(text) // 2])

    async def stats(self, request: web.Request) -> web.Response:
        """Return the counters since the start, and the seconds of CPU."""
        counters = {"requests": self.requests, "choices": self.choices, "prompt_characters": self.prompt_characters}
        return web.json_response(counters | self.failed | {"cpu_seconds": time.process_time()})


async def failure(request: web.Request, fault: str) -> web.Response:
    """Fail a request in one of the ways that need no answer."""
    if fault == "hang":
        await asyncio.Event().wait()  # until the client leaves, which cancels this
    if fault == "disconnect" and request.transport is not None:
        request.transport.close()
    limited = fault == "rate_limit"
    error = {"message": "slow down" if limited else "out of order", "type": fault, "code": fault}
    headers = {"Retry-After": str(RETRY_AFTER)} if limited else None
    return web.json_response({"error": error}, status=429 if limited else 500, headers=headers)


def completion(model: str, checksum: int, n: int, prompt_tokens: int) -> dict[str, Any]:
    """Return the body of an answer with n choices."""
    marks = [zlib.crc32(f"{checksum} {index}".encode()) for index in range(n)]
    texts = [ANSWER.format(mark=mark, label=LABELS[mark % len(LABELS)]) for mark in marks]
    tokens = sum(map(len, texts)) // 4
    return {
        "id": f"chatcmpl-{checksum}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for i, text in enumerate(texts)
        ],
        "usage": {
            "prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": prompt_tokens + tokens
        },
    }  # fmt: skip


@contextlib.contextmanager
def running_server(latency: float = LATENCY, faults: Faults | None = None) -> Iterator[str]:
    """Run a server in a process of its own on a free port; gives its base URL, which ends in /v1."""
    command = [sys.executable, __file__, "--latency", str(latency)]
    for name, value in asdict(faults or Faults()).items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise RuntimeError(f"the server did not start; it ended with exit code {process.wait()}")
            yield address
        finally:
            process.kill()


async def serve(server: EchoServer, port: int) -> None:
    """Serve on 127.0.0.1 until the process is ended."""
    runner = web.AppRunner(server.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=BACKLOG).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve."""
    p = argparse.ArgumentParser(prog="echo_server.py", description="Answer chat requests, without a model.")
    p.add_argument("--latency", metavar="S", type=float, default=LATENCY, help=f"seconds to an answer ({LATENCY})")
    p.add_argument("--port", metavar="N", type=int, default=0, help="of 127.0.0.1 (0: a free one)")
    for name in FAULTS:
        p.add_argument(
            f"--{name.replace('_', '-')}", metavar="P", type=float, default=0.0, help="share of requests (0)"
        )
    p.add_argument("--seed", metavar="N", type=int, default=0, help="decides which requests fail (0)")
    args = p.parse_args()
    faults = Faults(seed=args.seed, **{name: getattr(args, name) for name in FAULTS})
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(EchoServer(args.latency, faults), args.port))


if __name__ == "__main__":
    main()
