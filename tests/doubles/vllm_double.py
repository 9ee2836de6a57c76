"""A double of a vLLM server's chat endpoint, as far as scoring given texts goes; the shapes are those of vLLM 0.32.

Its model thinks a token likely that its prompt has shown before, and unlikely otherwise.
"""

import asyncio
import re
import threading
from contextlib import contextmanager

from aiohttp import web

SEEN, NEW = -0.25, -2.0
TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def tokens_of(messages):
    """Cut a prompt into tokens; the last message ends it."""
    return TOKEN.findall("".join(f"<{message['role']}>\n{message['content'].strip()}" for message in messages))


def prompt_logprobs(tokens):
    seen, listed = set(), []
    for token in tokens:
        listed.append({str(hash(token)): {"logprob": SEEN if token in seen else NEW, "decoded_token": token}})
        seen.add(token)
    return [None, *listed[1:]]


class Server:
    """Keeps the bodies of all requests; `edit` changes a response's fields."""

    def __init__(self, edit):
        self.bodies = []
        self.edit = edit

    async def chat(self, request):
        body = await request.json()
        self.bodies.append(body)
        tokens = tokens_of(body["messages"])
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1}
        choice = {"index": 0, "message": {"role": "assistant", "content": "more"}, "finish_reason": "length"}
        response = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
                    "choices": [choice], "usage": usage, "prompt_logprobs": prompt_logprobs(tokens)}  # fmt: skip
        return web.json_response(self.edit(response))


@contextmanager
def vllm_server(edit=lambda response: response):
    """Run the double in a thread; gives (name of its model, server)."""
    server, loop = Server(edit), asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app)

    async def start():
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"hosted_vllm/m@http://127.0.0.1:{port}/v1", server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
