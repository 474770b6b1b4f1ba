"""Keys, sizes, slowness, hostile images: refused with a reason, and the server goes on."""

import socket
from urllib.parse import urlsplit

from tests.unit.serve.conftest import IMAGE


def read(http, image=IMAGE, **more):
    return http.post("/v1/read", files={"file": image}, data={"max_tokens": "1"}, **more)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


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
