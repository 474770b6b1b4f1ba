import http.server
import socket
import threading
import time

import pytest

from tests.fixtures.drawn_images import drawn
from texlens.serve import fetch
from texlens.serve.errors import ApiError
from texlens.serve.settings import ServeSettings

OPEN = ServeSettings(allow_urls=True, max_body_bytes=50_000)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.5.5", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_public_addresses_are_public(address, public):
    assert fetch.is_public(address) is public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "169.254.169.254"])
def test_loopback_address_is_never_asked(host):
    with pytest.raises(ApiError) as caught:
        fetch.image_bytes(f"http://{host}:9/x.png", OPEN)
    assert caught.value.status == 400


def test_name_with_one_private_address_is_refused(monkeypatch):
    entries = [(2, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: entries)
    with pytest.raises(ApiError, match="private address"):
        fetch.public_address("example.com", 80)


@pytest.fixture
def site(monkeypatch):
    """A web server on the loopback, which for these tests counts as public under the name of `site`."""
    pages = {
        "/image.png": (200, {}, drawn(60, 30)),
        "/large": (200, {}, b"x" * 60_000),
        "/moved": (302, {"Location": "/image.png"}, b""),
        "/inside": (302, {"Location": "http://10.0.0.1/secret"}, b""),
        "/file": (302, {"Location": "file:///etc/passwd"}, b""),
        "/round": (302, {"Location": "/round"}, b""),
    }

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = pages.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    checked = fetch.public_address
    monkeypatch.setattr(
        fetch, "public_address", lambda host, port: "127.0.0.1" if host == "site" else checked(host, port)
    )
    yield f"http://site:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_image_is_fetched_through_a_redirect(site):
    assert fetch.image_bytes(f"{site}/moved", OPEN) == drawn(60, 30)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/inside", 400, "private address"),
        ("/file", 400, "something else than http"),
        ("/round", 400, "more than 3 redirects"),
        ("/absent", 400, "answered 404"),
        ("/large", 413, "over the 50,000 bytes"),
    ],
)
def test_bad_address_is_refused(site, path, status, reason):
    with pytest.raises(ApiError, match=reason) as caught:
        fetch.image_bytes(site + path, OPEN)
    assert caught.value.status == status


def test_nothing_is_fetched_without_allow_urls(site):
    with pytest.raises(ApiError, match="--allow-urls"):
        fetch.image_bytes(f"{site}/image.png", ServeSettings())


@pytest.fixture(params=["headers", "body", "nothing"])
def dripping(request, monkeypatch):
    """A server that sends a byte of its answer each 50 ms, and never ends."""
    monkeypatch.setattr(fetch, "public_address", lambda host, port: "127.0.0.1")
    monkeypatch.setattr(fetch, "FETCH_S", 1.0)
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            start = {"headers": b"HTTP/1.1 200 OK\r\nX: ", "nothing": b""}.get(
                request.param, b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n"
            )
            try:
                connection.sendall(start)
                while not stopped.wait(0.05):
                    connection.sendall(b"a" if request.param != "nothing" else b"")
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://site:{listener.getsockname()[1]}/x.png"
    stopped.set()
    listener.close()


def test_answer_that_drips_ends_at_the_deadline(dripping):
    start = time.monotonic()
    with pytest.raises(ApiError, match="not complete within 1 s"):
        fetch.image_bytes(dripping, OPEN)
    assert time.monotonic() - start < 5


def test_look_up_of_a_name_ends_at_the_deadline(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(fetch.socket, "getaddrinfo", lambda *arguments, **options: ended.wait(60))
    monkeypatch.setattr(fetch, "FETCH_S", 0.5)
    start = time.monotonic()
    with pytest.raises(ApiError, match=r"not complete within 0\.5 s"):
        fetch.image_bytes("http://slow.example/x.png", OPEN)
    assert time.monotonic() - start < 5
    ended.set()
