"""A server process: uvicorn around the application, and a stop that lets answers finish."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from texlens.serve.connections import max_connections, protocol_class
from texlens.serve.middleware.admission import AdmissionGate
from texlens.serve.settings import ServeSettings

SHUTDOWN_GRACE_S = 3.0
"""After the drain, for connections that don't close."""


class _Server(uvicorn.Server):
    """On the first SIGTERM or Ctrl-C new requests are refused, and requests in progress are answered before the end."""

    def __init__(self, config: uvicorn.Config, gate: AdmissionGate, drain_s: float):
        super().__init__(config)
        self._gate, self._drain_s = gate, drain_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._stop)
        yield

    def _stop(self) -> None:
        if self._gate.closed:
            self.should_exit = self.force_exit = True
            return
        self._gate.closed = True
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """New requests get 503 while requests in progress are answered."""
        deadline = asyncio.get_running_loop().time() + self._drain_s
        while self._gate.in_flight and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        self.should_exit = True


def uvicorn_config(app: FastAPI, settings: ServeSettings) -> uvicorn.Config:
    """Time-outs and limits of connections."""
    return uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        http=protocol_class(settings.header_timeout_s, max_connections()),
        backlog=128,
        timeout_graceful_shutdown=round(settings.drain_s + SHUTDOWN_GRACE_S),
        timeout_keep_alive=15,
        server_header=False,
        h11_max_incomplete_event_size=65_536,
    )


def serve(app: FastAPI, settings: ServeSettings, bound: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    access = logging.getLogger("texlens.access")
    access.setLevel(logging.INFO)
    if not access.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        access.addHandler(handler)
    _Server(uvicorn_config(app, settings), app.state.gate, settings.drain_s).run([bound])
