"""A server that speaks the OpenAI chat API and answers after a fixed time: what clients are measured against.

`python benchmarks/echo_server.py --latency 0.05` prints its address and serves until it is ended. It holds no model:
an answer is a label after one sentence, in the layout of DSPy's ChatAdapter, both decided by a checksum of the request,
so that equal requests have equal answers and different ones different texts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any

from aiohttp import web

MODEL = "test-model"
LABELS = ("Yes", "No")
LATENCY = 0.05
"""Seconds."""
BACKLOG = 1024
LARGEST_BODY = 64 * 2**20
ANSWER = """[[ ## reasoning ## ]]
The lesson asks for the premises first, and passage {mark} gives them the weight that the conclusion needs.

[[ ## label ## ]]
{label}

[[ ## completed ## ]]"""


class EchoServer:
    """Answers, and counts what it is asked.

    Args:
        latency: Seconds from a request's arrival to its answer, at least 0.
    """

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.requests = self.choices = self.prompt_characters = 0

    def application(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/stats", self.stats)
        return app

    async def complete(self, request: web.Request) -> web.Response:
        """Answer one request with `n` choices."""
        body = await request.read()
        asked = json.loads(body)
        n = asked.get("n") or 1
        size = sum(len(message["content"]) for message in asked["messages"])
        self.requests += 1
        self.choices += n
        self.prompt_characters += size
        await asyncio.sleep(self.latency)
        return web.json_response(completion(asked["model"], zlib.crc32(body), n, size // 4))

    async def stats(self, request: web.Request) -> web.Response:
        """Return the counters since the start, and the seconds of CPU."""
        counters = {"requests": self.requests, "choices": self.choices, "prompt_characters": self.prompt_characters}
        return web.json_response(counters | {"cpu_seconds": time.process_time()})


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
def running_server(latency: float = LATENCY) -> Iterator[str]:
    """Run a server in a process of its own on a free port; gives its base URL, which ends in /v1."""
    command = [sys.executable, __file__, "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"the server did not start; it ended with exit code {process.wait()}")
            yield address
        finally:
            process.kill()


async def serve(latency: float, port: int) -> None:
    """Serve on 127.0.0.1 until the process is ended."""
    runner = web.AppRunner(EchoServer(latency).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=BACKLOG).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve."""
    p = argparse.ArgumentParser(prog="benchmarks/echo_server.py", description="Answer chat requests, without a model.")
    p.add_argument("--latency", metavar="S", type=float, default=LATENCY, help=f"seconds to an answer ({LATENCY})")
    p.add_argument("--port", metavar="N", type=int, default=0, help="of 127.0.0.1 (0: a free one)")
    args = p.parse_args()
    asyncio.run(serve(args.latency, args.port))


if __name__ == "__main__":
    main()
