"""Keys, sizes, slowness, hostile images: refused with a reason, and the server goes on."""

import io
import socket
import struct
import time
import zlib
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from tests.unit.serve.conftest import IMAGE, serving, tiny_scheduler
from texlens.serve.settings import ServeSettings


def read(http, image=IMAGE, **more):
    return http.post("/v1/read", files={"file": image}, data={"max_tokens": "1"}, **more)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def bomb() -> bytes:
    """A PNG of a few hundred bytes whose header claims 10 billion pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def blank(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_hostile_images_are_refused_and_the_next_one_is_read(http):
    assert code(read(http, b"hello")) == (400, "bad_image")
    assert code(read(http, IMAGE[:60])) == (400, "bad_image")
    assert code(read(http, bomb())) == (413, "too_large")
    assert code(read(http, blank(1001, 1000))) == (413, "too_large")
    assert code(read(http, blank(2100, 10))) == (400, "bad_image")
    assert code(read(http, b"\0" * 3_000_000)) == (413, "too_large")

    assert read(http).status_code == 200


def test_fifty_megabytes_are_refused(http):
    assert code(http.post("/v1/chat/completions", content=b" " * 50_000_000)) == (413, "too_large")
    assert read(http).status_code == 200


def test_body_that_never_comes_gets_408(url, http):
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=300) as slow:
        slow.sendall(
            b"POST /v1/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n{"
        )
        answer = slow.makefile("rb").read().decode()

    assert answer.startswith("HTTP/1.1 408")
    assert '"request_timeout"' in answer
    assert read(http).status_code == 200


def test_broken_json_and_unknown_paths_have_reasons(http):
    assert code(http.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})) == (
        400,
        "bad_request",
    )
    assert code(http.get("/v1/../../etc/passwd")) == (404, "not_found")
    assert code(http.get("/v1/models/%2e%2e%2fpasswd")) == (404, "model_not_found")
    assert code(http.get("/v1/read")) == (405, "method_not_allowed")


def test_metrics_and_health_are_there(http):
    read(http)
    text = http.get("/metrics").text

    assert 'texlens_requests_total{path="/v1/read",status="200"}' in text
    assert "texlens_tokens_total" in text
    assert (http.get("/healthz").status_code, http.get("/readyz").status_code) == (200, 200)


def test_log_holds_no_contents(http, caplog):
    with caplog.at_level("INFO", "texlens.access"):
        http.get("/v1/models", params={"secret": "question"})
        until = time.monotonic() + 300
        while '"path": "/v1/models"' not in caplog.text and time.monotonic() < until:
            time.sleep(0.01)  # it is written after the answer has gone out
    assert '"path": "/v1/models"' in caplog.text
    assert "secret" not in caplog.text


@pytest.fixture(scope="module")
def locked():
    with tiny_scheduler() as scheduler, serving(scheduler, ServeSettings(api_key="ключ-1", timeout_s=0.05)) as address:
        yield address


def test_wrong_key_is_refused_before_the_body_is_read(locked):
    with httpx.Client(base_url=locked, timeout=300) as http:
        for headers in ({}, {"Authorization": "Bearer key"}, {"Authorization": b"Bearer \xff"}):
            assert code(http.get("/v1/models", headers=headers)) == (401, "invalid_api_key")
        correct = {"Authorization": "Bearer ключ-1".encode()}
        assert http.get("/v1/models", headers=correct).status_code == 200
        assert http.get("/healthz").status_code == 200


def test_answer_that_takes_too_long_gets_504(locked):
    correct = {"Authorization": "Bearer ключ-1".encode()}
    with httpx.Client(base_url=locked, timeout=300, headers=correct) as http:
        assert code(http.post("/v1/read", files={"file": IMAGE}, data={"max_tokens": "2000"})) == (
            504,
            "generation_timeout",
        )


def test_client_that_leaves_during_a_stream_leaves_the_batch(scheduler, url):
    with httpx.Client(base_url=url, timeout=300) as http:
        fields = {"stream": "true", "max_tokens": "3500"}
        with http.stream("POST", "/v1/read", files={"file": IMAGE}, data=fields) as answer:
            next(answer.iter_lines())
    until = time.monotonic() + 300
    while scheduler.running and time.monotonic() < until:
        time.sleep(0.02)

    assert scheduler.running == 0
    assert 'texlens_readings_total{outcome="cancelled"}' in httpx.get(f"{url}/metrics").text
