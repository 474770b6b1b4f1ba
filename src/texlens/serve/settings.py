"""What a server allows: limits, time-outs, key."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServeSettings:
    """Limits of a server; each is a number of the unit in its name.

    Attributes:
        api_key: None lets every client in.
        allow_urls: fetch images from public addresses.
        hosts: names under which the server may be addressed, besides IP addresses, localhost and the machine's name.
        origins: web pages from elsewhere that may call the server, such as https://example.org.
        max_held_bytes: of the bodies of all requests in progress.
        max_tokens: what a request may ask for at most, and its default.
        header_timeout_s: for a request's headers to arrive; `body_timeout_s` for its body.
        decode_timeout_s: for an image to be decoded.
        timeout_s: for an answer, the wait in the queue included.
        drain_s: how long a stop waits for answers in progress.
    """

    api_key: str | None = None
    allow_urls: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_waiting: int = 256
    max_body_bytes: int = 20_000_000
    max_held_bytes: int = 1_000_000_000
    max_image_pixels: int = 40_000_000
    max_tokens: int = 2048
    max_prompt_characters: int = 8_000
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    decode_timeout_s: float = 10.0
    timeout_s: float = 120.0
    drain_s: float = 30.0
