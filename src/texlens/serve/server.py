"""A server process: uvicorn around the application, and a stop that lets answers finish."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from texlens.core.errors import ConfigError
from texlens.serve.middleware import Gate
from texlens.serve.settings import ServeSettings

_PATIENCE_S = 3.0
"""Beyond the drain, for connections that don't close."""


class _Server(uvicorn.Server):
    """On the first SIGTERM or Ctrl-C nobody new is let in, and who is in is answered before the end."""

    def __init__(self, config: uvicorn.Config, gate: Gate, drain_s: float):
        super().__init__(config)
        self._gate, self._drain_s = gate, drain_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._asked_to_stop)
        yield

    def _asked_to_stop(self) -> None:
        if self._gate.closed:
            self.should_exit = self.force_exit = True
            return
        self._gate.closed = True
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """New requests hear 503 until what was begun is answered."""
        until = asyncio.get_running_loop().time() + self._drain_s
        while self._gate.inside and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.05)
        self.should_exit = True


def listening_socket(host: str, port: int) -> socket.socket:
    """
    Raises:
        ConfigError: the port is taken, or the host is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        made.close()
        raise ConfigError(f"{host}:{port}: can't be listened on ({error}); choose another --port or --host") from error
    return made


def serve(app: FastAPI, settings: ServeSettings, opened: socket.socket) -> None:
    """Answers until SIGTERM or Ctrl-C."""
    access = logging.getLogger("texlens.access")
    access.setLevel(logging.INFO)
    if not access.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        access.addHandler(handler)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=round(settings.drain_s + _PATIENCE_S),
        timeout_keep_alive=15,
        server_header=False,
        h11_max_incomplete_event_size=65_536,
    )
    _Server(config, app.state.gate, settings.drain_s).run([opened])
