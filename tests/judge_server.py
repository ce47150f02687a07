"""A judge for tests: a real HTTP server on this machine that behaves as it is told, and counts what it is asked."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD = '{"grammar": 8, "creativity": 6, "consistency": 7, "plot": 5, "age": "C"}'

Reply = tuple[int, str, dict[str, str]] | None
"""Status, body and headers; None drops the connection."""


def chat(answer: str) -> Reply:
    """A good response that holds an answer."""
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}), {}


def varied(request: dict) -> Reply:
    """Grades that depend on the request alone, so that the order of requests cannot matter."""
    digest = hashlib.sha256(request["messages"][1]["content"].encode()).digest()
    grades = {name: 1 + digest[n] % 10 for n, name in enumerate(("grammar", "creativity", "consistency", "plot"))}
    time.sleep(digest[5] % 4 / 200)
    return chat(json.dumps(grades | {"age": "ABCDEF"[digest[6] % 6]}))


class Server:
    """Its address, the requests it got (parsed), their headers, and how it replies: `reply(request)`."""

    def __init__(self, reply: Callable[[dict], Reply]):
        self.reply = reply
        self.requests: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def serving(reply: Callable[[dict], Reply]) -> Iterator[Server]:
    """A running server."""
    server = Server(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.requests.append(request)
                server.headers.append(dict(self.headers))
                server.paths.append(self.path)
            found = server.reply(request)
            if found is None:
                return
            status, body, headers = found
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())
            except OSError:
                pass  # whoever asked did not wait

        def log_message(self, format, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
