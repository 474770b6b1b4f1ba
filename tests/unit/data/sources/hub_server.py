"""A hub on the loopback with one data set, `owner/name`: the routes that `datasets` asks Hugging Face for."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "a" * 40


@contextmanager
def hub_of(folder: Path) -> Iterator[str]:
    """The address of a hub that serves the folder's files until the block ends."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            route = self.path.split("?")[0]
            name = route.rsplit("/", 1)[-1]
            if route.startswith("/datasets/owner/name/resolve/") and name in files:
                digest = hashlib.sha1(files[name]).hexdigest()
                self.answer(200, files[name], {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT})
            elif route.startswith("/api/datasets/owner/name/tree/"):
                self.answer(200, [{"type": "file", "path": n, "size": len(d), "oid": n} for n, d in files.items()])
            elif route.startswith("/api/datasets/owner/name"):
                self.answer(200, {"id": "owner/name", "sha": COMMIT, "siblings": [{"rfilename": n} for n in files]})
            else:
                missing = "EntryNotFound" if "owner/name" in route else "RepoNotFound"
                self.answer(404, {}, {"X-Error-Code": missing})

        def do_HEAD(self):
            self.do_GET()

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(200, [])

        def answer(self, status, body, headers=None):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
