"""A server of OpenAI's chat API that keeps what it is sent, and answers as a test wants."""

import asyncio
import inspect
import json
import threading
from contextlib import contextmanager

from aiohttp import web

YES = "[[ ## label ## ]]\nYes\n\n[[ ## completed ## ]]"


def completion(*texts, finish="stop"):
    """The body of an answer with these choices; `finish` is one reason for all, or one of each."""
    reasons = [finish] * len(texts) if isinstance(finish, str) else finish
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        for i, (text, reason) in enumerate(zip(texts, reasons, strict=True))
    ]
    usage = {"prompt_tokens": 7, "completion_tokens": len(texts), "total_tokens": 7 + len(texts)}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


def always_yes(body):
    return completion(*[YES] * (body.get("n") or 1))


def refusal(status, message="", code=None, headers=None):
    """An error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return web.json_response(body, status=status, headers=headers)


class Recorder:
    """What a server was sent. `answer(body)` gives a body, a response of aiohttp, or either later on."""

    def __init__(self, answer):
        self.answer = answer
        self.raw, self.headers = [], []
        self.connections = set()

    @property
    def bodies(self):
        return [json.loads(raw) for raw in self.raw]

    async def chat(self, request):
        raw = await request.read()
        self.raw.append(raw)
        self.headers.append(dict(request.headers))
        self.connections.add(request.transport)
        reply = self.answer(json.loads(raw))
        reply = await reply if inspect.isawaitable(reply) else reply
        if reply is None:  # the connection breaks in the middle of the body
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "500"})
            await response.prepare(request)
            await response.write(b'{"choices": [{"mess')
            request.transport.close()
            return response
        return reply if isinstance(reply, web.StreamResponse) else web.json_response(reply)


@contextmanager
def recording(answer=always_yes):
    """Run the server in a thread; gives (its address, what it records)."""
    recorder, loop = Recorder(answer), asyncio.new_event_loop()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", recorder.chat)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)

    async def start():
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/v1", recorder
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
