"""The bytes of an image that a request names: a data URI, or, where that is allowed, an address on the public network.

An address is asked only after its name has led to public machines alone, and the connection goes to the very address
that was checked; each redirect begins anew. Files are never read.
"""

import base64
import binascii
import http.client
import ipaddress
import socket
import ssl
import time
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from texlens.serve.errors import Fault
from texlens.serve.settings import ServeSettings

MOST_REDIRECTS = 3
_FETCH_S = 10.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PARAM = "messages"


def image_bytes(url: str, settings: ServeSettings) -> bytes:
    """
    Raises:
        Fault: neither a data URI nor an address that may be asked, or nothing good came back.
    """
    scheme = url[:16].partition(":")[0].lower()
    if scheme == "data":
        return _from_data(url)
    if scheme not in ("http", "https"):
        raise _bad("image_url: only data URIs are read (data:image/png;base64,…), never files")
    if not settings.allow_urls:
        raise _bad("image_url: this server fetches no addresses; send a data URI, or start it with --allow-urls")
    return _fetched(url, settings.max_body_bytes)


def _from_data(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma:
        raise _bad("image_url: a data URI without a comma; send data:image/png;base64,…")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad(f"image_url: broken base64 ({error}); encode the image again") from None


def _fetched(url: str, limit: int) -> bytes:
    deadline = time.monotonic() + _FETCH_S
    for _ in range(MOST_REDIRECTS + 1):
        try:
            answer = _asked(url, deadline, limit)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _bad(f"image_url: nothing could be fetched ({type(error).__name__}); send a data URI") from None
        if isinstance(answer, bytes):
            return answer
        url = urljoin(url, answer)
    raise _bad(f"image_url: more than {MOST_REDIRECTS} redirects; name the image itself")


def _asked(url: str, deadline: float, limit: int) -> bytes | str:
    """The body, or where a redirect leads."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _bad("image_url: leads to something else than http or https")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = _connected(parts.scheme, parts.hostname, public_address(parts.hostname, port), port, deadline)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Host": parts.netloc.rpartition("@")[2], "User-Agent": "texlens"})
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308) and (target := answer.getheader("Location")):
            return target
        if answer.status != 200:
            raise _bad(f"image_url: the address answered {answer.status}; check it")
        return _body(answer, deadline, limit)
    finally:
        connection.close()


def _body(answer: http.client.HTTPResponse, deadline: float, limit: int) -> bytes:
    data = bytearray()
    while part := answer.read1(65_536):
        data += part
        if len(data) > limit:
            raise Fault(413, "too_large", f"image_url: over the {limit:,} bytes allowed; scale the image down", _PARAM)
        if time.monotonic() > deadline:
            raise _bad(f"image_url: not there within {_FETCH_S:g} s; send a data URI")
    return bytes(data)


def public_address(host: str, port: int) -> str:
    """An address of the host, all of whose addresses are public.

    Raises:
        Fault: one of them is private, loopback, link-local or reserved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise _bad("image_url: leads to a private address, which is never asked; send a data URI")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is on the public network; ones that wrap another address count as what they wrap."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64:
            return False
    return ip.is_global and not ip.is_multicast


def _connected(scheme: str, host: str, address: str, port: int, deadline: float) -> http.client.HTTPConnection:
    """A connection to the address, for the host's name."""
    seconds = max(0.1, deadline - time.monotonic())
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    plain = socket.create_connection((address, port), timeout=seconds)
    try:
        connection.sock = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) if scheme == "https" else plain
        )
    except (OSError, ValueError):
        plain.close()
        raise
    return connection


def _bad(message: str) -> Fault:
    return Fault(400, "bad_image", message, _PARAM)
