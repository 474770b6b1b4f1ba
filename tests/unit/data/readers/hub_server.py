"""A hub on the loopback with one data set, `owner/name`: the routes that `datasets` and modelscope ask for.

A file's sendings can go wrong: `cut` in the middle, `wrong` (a page of HTML), `slow`, or `busy` (status 503).
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

COMMIT = "a" * 40


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def hub_of(folder: Path, faults: dict[str, list[str]] | None = None) -> Iterator[str]:
    """The address of a hub that serves the folder's files until the block ends.

    `faults` holds what goes wrong with the next sendings of a file; `always:wrong` goes wrong each time.
    """
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    faults = faults or {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            route = self.path.split("?")[0]
            name = route.rsplit("/", 1)[-1]
            if route.startswith("/datasets/owner/name/resolve/") and name in files:
                self.file(name)
            elif route == "/api/v1/datasets/owner/name/repo":
                self.file(parse_qs(urlsplit(self.path).query)["FilePath"][0])
            elif route.startswith("/api/v1/datasets/"):
                listed = [
                    {"Name": n, "Path": n, "Size": len(d), "Type": "blob", "Revision": COMMIT, "Sha256": sha256(d)}
                    for n, d in files.items()
                ]
                data = {"Files": listed, "Id": 1, "Name": "name", "Namespace": "owner", "Type": 1}
                self.answer(200, {"Code": 200, "Success": True, "Data": data})
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

        def file(self, name):
            data = files[name]
            headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            coming = faults.get(name, []) if self.command == "GET" else []
            fault = coming[0] if coming else ""
            if coming and not fault.startswith("always:"):
                coming.pop(0)
            fault = fault.removeprefix("always:")
            if fault == "busy":
                self.answer(503, {})
                return
            if fault == "wrong":
                self.answer(200, b"<html>no file</html>".ljust(len(data)), headers)
                return
            if fault == "slow":
                time.sleep(2)
            byte_range = self.headers.get("Range")
            if byte_range:
                first = int(byte_range.removeprefix("bytes=").split("-")[0])
                whole, data = len(data), data[first:]
                headers["Content-Range"] = f"bytes {first}-{whole - 1}/{whole}"
            self.answer(206 if byte_range else 200, data, headers, patchify=fault == "cut")

        def answer(self, status, body, headers=None, patchify=False):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if patchify else data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
