"""The bytes of an image that a request names: a data URI, or, where that is allowed, an address on the public network.

A host is asked only if all its addresses are public, and the connection goes to the very address that was checked;
each redirect is checked again. Files are never read. A fetch ends at its deadline whatever the host sends: the socket
is closed then, from outside.
"""

import asyncio
import base64
import binascii
import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from texlens.serve.errors import ApiError
from texlens.serve.settings import ServeSettings

MAX_REDIRECTS = 3
FETCH_S = 10.0
FETCH_THREADS = 8
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PARAM = "messages"
_FETCHERS = ThreadPoolExecutor(FETCH_THREADS, "texlens-fetch")
"""Threads of their own, so that slow hosts don't take those that other requests need."""


async def fetch_image(url: str, settings: ServeSettings) -> bytes:
    """
    Raises:
        ApiError: neither a data URI nor an address that may be asked, or it did not answer with a file.
    """
    return await asyncio.get_running_loop().run_in_executor(_FETCHERS, image_bytes, url, settings)


def image_bytes(url: str, settings: ServeSettings) -> bytes:
    """As `fetch_image`, in the calling thread.

    Raises:
        ApiError: as `fetch_image`.
    """
    scheme = url[:16].partition(":")[0].lower()
    if scheme == "data":
        return _from_data_uri(url)
    if scheme not in ("http", "https"):
        raise _bad_image("image_url: only data URIs are read (data:image/png;base64,…), never files")
    if not settings.allow_urls:
        raise _bad_image("image_url: this server fetches no addresses; send a data URI, or start it with --allow-urls")
    return _fetch(url, settings.max_body_bytes)


def _from_data_uri(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma:
        raise _bad_image("image_url: a data URI without a comma; send data:image/png;base64,…")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad_image(f"image_url: broken base64 ({error}); encode the image again") from None


def _fetch(url: str, limit_bytes: int) -> bytes:
    deadline = time.monotonic() + FETCH_S
    for _ in range(MAX_REDIRECTS + 1):
        try:
            answer = _request(url, deadline, limit_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise _late() from None
            raise _bad_image(f"image_url: nothing could be fetched ({type(error).__name__}); send a data URI") from None
        if isinstance(answer, bytes):
            return answer
        url = urljoin(url, answer)
    raise _bad_image(f"image_url: more than {MAX_REDIRECTS} redirects; name the image itself")


def _request(url: str, deadline: float, limit_bytes: int) -> bytes | str:
    """The body, or where a redirect leads."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _bad_image("image_url: leads to something else than http or https")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _before(deadline, lambda: public_address(parts.hostname or "", port))
    connection = _connect(parts.scheme, parts.hostname, address, port, deadline)
    with contextlib.closing(connection), _closed_at(connection, deadline):
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Host": parts.netloc.rpartition("@")[2], "User-Agent": "texlens"})
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308) and (target := answer.getheader("Location")):
            return target
        if answer.status != 200:
            raise _bad_image(f"image_url: the address answered {answer.status}; check it")
        return _body(answer, deadline, limit_bytes)


def _before(deadline: float, look_up: Callable[[], str]) -> str:
    """What the look-up of a name gives. A name server may be slow, and `getaddrinfo` knows no time-out: its thread is
    left behind then, and ends with the resolver's own.

    Raises:
        TimeoutError: not until the deadline.
        Exception: what `look_up` raises.
    """
    results: queue.Queue[str | Exception] = queue.Queue()

    def run() -> None:
        try:
            results.put(look_up())
        except Exception as error:  # noqa: BLE001 - raised in the calling thread
            results.put(error)

    threading.Thread(target=run, daemon=True, name="texlens-look-up").start()
    try:
        result = results.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def _closed_at(connection: http.client.HTTPConnection, deadline: float) -> Iterator[None]:
    """Shuts the connection down at the deadline, which ends a read that a socket's own time-out lets go on."""

    opened = connection.sock  # http.client forgets it while an answer is read

    def shut_down() -> None:
        with contextlib.suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _body(answer: http.client.HTTPResponse, deadline: float, limit_bytes: int) -> bytes:
    data = bytearray()
    while part := answer.read1(65_536):
        data += part
        if len(data) > limit_bytes:
            message = f"image_url: over the {limit_bytes:,} bytes allowed; scale the image down"
            raise ApiError(413, "too_large", message, _PARAM)
    if time.monotonic() >= deadline:
        raise _late()
    return bytes(data)


def public_address(host: str, port: int) -> str:
    """An address of the host, all of whose addresses are public.

    Raises:
        ApiError: one of them is private, loopback, link-local or reserved.
    """
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in entries]
    if not addresses or not all(is_public(address) for address in addresses):
        raise _bad_image("image_url: leads to a private address, which is never asked; send a data URI")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is on the public network; one that wraps another address counts as what it wraps."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64:
            return False
    return ip.is_global and not ip.is_multicast


def _connect(scheme: str, host: str, address: str, port: int, deadline: float) -> http.client.HTTPConnection:
    """A connection to the address, for the host's name."""
    seconds = max(0.1, deadline - time.monotonic())
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    opened = socket.create_connection((address, port), timeout=seconds)
    try:
        context = ssl.create_default_context() if scheme == "https" else None
        connection.sock = context.wrap_socket(opened, server_hostname=host) if context else opened
    except (OSError, ValueError):
        opened.close()
        raise
    return connection


def _late() -> ApiError:
    return _bad_image(f"image_url: not complete within {FETCH_S:g} s; send a data URI")


def _bad_image(message: str) -> ApiError:
    return ApiError(400, "bad_image", message, _PARAM)
