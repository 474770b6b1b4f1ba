"""HTTP connections with a time-out until a request's headers are complete, and a bound on their number.

uvicorn has time-outs between requests alone, so that clients which send headers slowly, or none, could hold every file
descriptor of the process.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

RESERVED_FILES = 64
"""File descriptors that are kept for other uses than connections."""
MAX_CONNECTIONS = 1000


def max_connections() -> int:
    """How many connections the limit on open files leaves room for, at most `MAX_CONNECTIONS`."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft < 0 else max(8, min(MAX_CONNECTIONS, soft - RESERVED_FILES))


def protocol_class(header_timeout_s: float, limit: int) -> type[H11Protocol]:
    """The protocol of one server's connections.

    Beyond `limit` connections the one that has waited longest for its headers is closed in favor of the new one.
    """
    waiting: dict[asyncio.Protocol, None] = {}

    class BoundedConnection(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_headers()
            if len(self.connections) > limit:
                oldest: Any = next(iter(waiting))
                oldest.close_unanswered()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:
                self._wait_for_headers()
            else:
                self._stop_waiting()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def close_unanswered(self) -> None:
            self._stop_waiting()
            if self.transport is not None and not self.transport.is_closing():
                self.transport.abort()

        def _wait_for_headers(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(header_timeout_s, self.close_unanswered)
                waiting[self] = None

        def _stop_waiting(self) -> None:
            waiting.pop(self, None)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return BoundedConnection
