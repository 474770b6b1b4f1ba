"""The port of a server, taken before anything that takes long is imported or loaded."""

import socket

from texlens.core.errors import ConfigError


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; clients are refused until `listen` is called on it.

    Raises:
        ConfigError: the port is taken, or the host is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise _unavailable(host, port, error) from error
    return bound


def start_listening(bound: socket.socket) -> tuple[str, int]:
    """Accept clients; the address under which they reach the server.

    Raises:
        ConfigError: another program took the port meanwhile.
    """
    host, port = bound.getsockname()[:2]
    try:
        bound.listen()
    except OSError as error:
        raise _unavailable(host, port, error) from error
    return host, port


def _unavailable(host: str, port: int, error: Exception) -> ConfigError:
    return ConfigError(f"{host}:{port}: can't listen there ({error}); choose another --port or --host")
