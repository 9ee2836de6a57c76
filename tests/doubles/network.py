"""All of the network that a test may reach: a proxy that keeps each request, answers plain HTTP, and refuses HTTPS.

With HTTP_PROXY and HTTPS_PROXY set to it, whatever host a client turns to, the request ends here: of HTTPS the host
alone is seen, of HTTP everything.
"""

import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from recording_server import YES, completion


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request."""

    host: str
    path: str = ""
    head: str = ""
    body: str = ""


class Network:
    """What was sent. `answer(body)` gives a status and a body."""

    def __init__(self, answer):
        self.answer, self.sent, self.address = answer, [], ""

    @property
    def hosts(self):
        return [request.host for request in self.sent]


def yes(body):
    return 200, {**completion(*[YES] * (body.get("n") or 1)), "service_tier": "default"}


@contextmanager
def network(answer=yes):
    """Run the proxy in a thread."""
    kept = Network(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self):
            kept.sent.append(Sent(host=self.path.rpartition(":")[0]))
            self.give(502, {})
            self.close_connection = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            place = urlsplit(self.path)
            host = place.netloc or self.headers["Host"]
            kept.sent.append(Sent(host=host, path=place.path, head=str(self.headers), body=body))
            self.give(*kept.answer(json.loads(body or "{}")))

        def do_GET(self):
            kept.sent.append(Sent(host=urlsplit(self.path).netloc, path=self.path, head=str(self.headers)))
            self.give(404, {})

        def give(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
