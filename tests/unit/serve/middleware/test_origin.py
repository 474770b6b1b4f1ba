"""Requests that a web page from elsewhere makes in its visitor's browser."""

import httpx
import pytest

from tests.unit.serve.conftest import IMAGE, serving, tiny_scheduler
from texlens.serve.middleware.origin import OriginCheck
from texlens.serve.settings import ServeSettings


async def answer(headers: dict[str, str], **options) -> int:
    """The status: 200 where the request gets through."""
    sent = []

    async def app(scope, receive, send):
        sent.append(200)

    async def send(message):
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await OriginCheck(app, **options)({"type": "http", "path": "/", "headers": encoded}, None, send)
    return sent[0]


def status(headers: dict[str, str], **options) -> int:
    import asyncio

    return asyncio.run(answer(headers, **options))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("app.localhost", 200),
        ("[::1]:8000", 200),
        ("192.168.1.5", 200),
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("2130706433", 403),
        ("", 403),
        ("a[b", 403),
        ("evil.example:80@127.0.0.1", 200),
    ],
)
def test_host_must_be_an_address_or_an_allowed_name(host, expected):
    assert status({"Host": host}) == expected


def test_names_can_be_allowed():
    assert status({"Host": "Reader.example:443"}, hosts=["reader.example"]) == 200
    assert status({"Host": "other.example"}, hosts=["reader.example"]) == 403


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8000", 200),
        ("http://127.0.0.1:9000", 403),
        ("http://localhost:8000", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://127.0.0.1:8000.evil.example", 403),
        ("http://evil.example/127.0.0.1:8000", 403),
    ],
)
def test_origin_must_be_the_server_itself(origin, expected):
    assert status({"Host": "127.0.0.1:8000", "Origin": origin}) == expected


def test_origins_can_be_allowed():
    allowed = {"origins": ["https://Reader.example/"]}
    assert status({"Host": "127.0.0.1", "Origin": "https://reader.example"}, **allowed) == 200
    assert status({"Host": "127.0.0.1", "Origin": "https://reader.example.evil"}, **allowed) == 403


def test_form_post_of_a_foreign_page_is_not_computed():
    with tiny_scheduler() as scheduler, serving(scheduler, ServeSettings()) as url:
        form = {"files": {"file": IMAGE}, "data": {"max_tokens": "1"}, "timeout": 300}
        refused = httpx.post(f"{url}/v1/read", headers={"Origin": "https://evil.example"}, **form)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden_origin")
        rebound = httpx.post(f"{url}/v1/read", headers={"Host": "evil.example"}, **form)
        assert (rebound.status_code, rebound.json()["error"]["code"]) == (403, "forbidden_host")
        assert scheduler.counts.prefills == 0

        assert httpx.post(f"{url}/v1/read", headers={"Origin": url}, **form).status_code == 200
        assert scheduler.counts.prefills == 1


def test_allowed_page_gets_cors_headers():
    settings = ServeSettings(origins=("https://reader.example",))
    with tiny_scheduler() as scheduler, serving(scheduler, settings) as url:
        page = {"Origin": "https://reader.example"}
        models = httpx.get(f"{url}/v1/models", headers=page)
        assert models.headers["access-control-allow-origin"] == "https://reader.example"
        preflight = {**page, "Access-Control-Request-Method": "POST"}
        assert httpx.options(f"{url}/v1/read", headers=preflight).status_code == 200
