"""A server of embeddings in this process, in the form of OpenAI's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """Answers embeddings, or what ``script`` says next: a status, a body, or a function of the handler."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.script: list[Any] = []
        self.connections: set[Any] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, dict(self.headers), body))
                server.connections.add(self.client_address)
                status, headers, answer = 200, {}, None
                if server.script:
                    step = server.script.pop(0)
                    if callable(step):
                        step()
                    elif isinstance(step, tuple):
                        status, headers = step
                        answer = b"not now"
                    else:
                        answer = step
                if answer is None:
                    data = [{"index": i, "embedding": vector_of(text)} for i, text in enumerate(body["input"])]
                    answer = json.dumps({"data": data[::-1]}).encode()  # in any order
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:  # the client has given up
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()


def vector_of(text: str) -> list[float]:
    return [1.0, float(len(text)), float(text.count("a"))]


@contextmanager
def serving() -> Iterator[Server]:
    """Yield a server that ends with the block."""
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()
