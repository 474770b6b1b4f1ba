"""Slow and silent clients on real sockets."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from texlens.serve.connections import max_connections, protocol_class

TIMEOUT_S = 1.0


@contextmanager
def running(limit: int):
    app = FastAPI()

    @app.get("/")
    async def home():
        return "here"

    @app.get("/slow")
    async def slow():
        await asyncio.sleep(2 * TIMEOUT_S)
        return "late"

    config = uvicorn.Config(app, port=0, log_level="error", http=protocol_class(TIMEOUT_S, limit))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def address():
    with running(limit=50) as address:
        yield address


def connected(address) -> socket.socket:
    return socket.create_connection(address[:2], timeout=30)


def closed_after(connection: socket.socket) -> float:
    """Seconds until the server closes the connection."""
    start = time.monotonic()
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - start


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x", b"\0" * 2000], ids=["nothing", "half", "random"])
def test_headers_that_never_end_close_the_connection(address, sent):
    with connected(address) as client:
        client.sendall(sent)
        assert closed_after(client) < 5 * TIMEOUT_S


def test_headers_that_come_byte_by_byte_close_the_connection(address):
    with connected(address) as client:
        start = time.monotonic()
        try:
            for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 1000:
                client.sendall(bytes([byte]))
                time.sleep(0.1)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - start < 5 * TIMEOUT_S


def test_second_request_of_a_connection_has_the_same_time(address):
    with connected(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET / HT")
        assert closed_after(client) < 5 * TIMEOUT_S


def test_answer_may_take_longer_than_headers(address):
    assert httpx.get(f"http://{address[0]}:{address[1]}/slow", timeout=30).json() == "late"


def test_half_open_connections_do_not_shut_others_out():
    with running(limit=8) as address:
        silent = [connected(address) for _ in range(30)]
        try:
            for _ in range(3):
                assert httpx.get(f"http://{address[0]}:{address[1]}/", timeout=10).json() == "here"
        finally:
            for client in silent:
                client.close()


def test_limit_leaves_files_for_other_uses(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    assert max_connections() == 192
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, 1024))
    assert max_connections() == 1000
