"""A hub on 127.0.0.1 for the tests: the routes of Hugging Face's and ModelScope's APIs that a download needs.

`SmallHub(folder)` serves one repository, `Tiny/Qwen3-VL`. It counts what it sends, can cut a file short, answer with
an error, or be slow.
"""

import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.fixtures.local_server import LocalServer

REPOSITORY = "Tiny/Qwen3-VL"
COMMIT = "c0ffee" + "0" * 34


@dataclass
class SmallHub(LocalServer):
    """`answer_with` is the status of every API call; `cuts` says after how many bytes a file's next sendings break."""

    folder: Path
    answer_with: int = 200
    cuts: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)

    def reset(self, folder: Path) -> "SmallHub":
        """Serve another folder, without faults and with nothing counted."""
        self.folder, self.answer_with = folder, 200
        self.cuts, self.sent, self.ranges = {}, {}, []
        return self

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def bytes_of(self, suffix: str) -> int:
        return sum(size for name, size in self.sent.items() if name.endswith(suffix))


class _Handler(BaseHTTPRequestHandler):
    hub: SmallHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route(body=False)

    def do_GET(self) -> None:
        self._route(body=True)

    def _route(self, body: bool) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if self.hub.answer_with != 200:
            return self._refuse(self.hub.answer_with)
        if url.path.startswith(f"/{REPOSITORY}/resolve/"):
            return self._file(url.path.split("/resolve/")[1].split("/", 1)[1], body)
        if url.path == f"/api/v1/models/{REPOSITORY}/repo":
            return self._file(query["FilePath"][0], body)
        if url.path == f"/api/v1/models/{REPOSITORY}/repo/files":
            return self._json({"Code": 200, "Success": True, "Data": {"Files": self._modelscope_files()}})
        if url.path.startswith(f"/api/v1/models/{REPOSITORY}"):
            return self._json({"Code": 200, "Success": True, "Data": self._modelscope_repository(url.path)})
        if url.path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            return self._json(self._tree())
        if url.path in (f"/api/models/{REPOSITORY}", f"/api/models/{REPOSITORY}/revision/main"):
            return self._json({"id": REPOSITORY, "sha": COMMIT, "siblings": self._siblings()})
        if url.path.startswith(f"/api/models/{REPOSITORY}/revision/"):
            return self._refuse(404, "RevisionNotFound")
        return self._refuse(404, "RepoNotFound")

    def _siblings(self) -> list[dict]:
        return [{"rfilename": file["path"], "size": file["size"], "blobId": file["oid"]} for file in self._tree()]

    def _tree(self) -> list[dict]:
        return [
            {
                "type": "file",
                "path": str(path.relative_to(self.hub.folder)),
                "size": path.stat().st_size,
                "oid": _etag(path),
            }
            for path in self.hub.files()
        ]

    def _modelscope_files(self) -> list[dict]:
        return [
            {
                "Name": path.name,
                "Path": str(path.relative_to(self.hub.folder)),
                "Size": path.stat().st_size,
                "Type": "blob",
                "Revision": COMMIT,
                "Sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in self.hub.files()
        ]

    def _modelscope_repository(self, path: str) -> dict | list:
        revision = {"Revision": "master", "CreatedAt": 1}
        if path.endswith("/revisions"):
            return {"RevisionMap": {"Branches": [revision], "Tags": []}}
        return {"Id": 1, "Name": "Qwen3-VL", "Path": "Tiny", "Revision": "master"}

    def _file(self, name: str, body: bool) -> None:
        path = self.hub.folder / name
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        content = path.read_bytes()
        start, end = self._range(len(content))
        self.send_response(200 if (start, end) == (0, len(content)) else 206)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{_etag(path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self._send(name, content[start:end])

    def _send(self, name: str, content: bytes) -> None:
        cut = self.hub.cuts[name].pop(0) if self.hub.cuts.get(name) else len(content)
        self.hub.sent[name] = self.hub.sent.get(name, 0) + len(content[:cut])
        self.wfile.write(content[:cut])
        if cut < len(content):
            self.wfile.flush()
            self.close_connection = True

    def _range(self, length: int) -> tuple[int, int]:
        requested = self.headers.get("Range")
        if requested is None:
            return 0, length
        self.hub.ranges.append(requested)
        first, last = requested.removeprefix("bytes=").split("-")
        return int(first), min(int(last) + 1, length) if last else length

    def _refuse(self, status: int, code: str = "") -> None:
        self._json({"error": "refused", "Code": status, "Message": "refused", "Success": False}, status, code)

    def _json(self, content: object, status: int = 200, code: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


SmallHub.handler = _Handler
