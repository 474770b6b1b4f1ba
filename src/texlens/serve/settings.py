"""What a server allows: limits, time-outs, key."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServeSettings:
    """`api_key` None lets everybody in. `max_tokens` is the most that a request may ask for.

    `body_timeout_s` is how long a request may take to arrive, `timeout_s` how long its answer may take, the wait in the
    queue included. `max_held_bytes` bounds the bodies of all requests under way. `drain_s` is how long a stop waits for
    answers under way.
    """

    api_key: str | None = None
    allow_urls: bool = False
    max_waiting: int = 256
    max_body_bytes: int = 20_000_000
    max_held_bytes: int = 1_000_000_000
    max_image_pixels: int = 40_000_000
    max_tokens: int = 2048
    max_prompt_characters: int = 8_000
    body_timeout_s: float = 30.0
    timeout_s: float = 120.0
    drain_s: float = 30.0
