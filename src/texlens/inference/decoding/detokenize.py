"""Tokens to text, one at a time: each token's bytes, the text so far, and stop strings found on the way."""

import codecs
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


class TokenBytes:
    """The bytes of each token of a byte-level vocabulary; a special token has none."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._added = tokenizer.added_tokens_decoder
        self._cache: dict[int, bytes] = {}

    def __getitem__(self, token: int) -> bytes:
        cached = self._cache.get(token)
        if cached is None:
            cached = self._cache[token] = self._bytes(token)
        return cached

    def _bytes(self, token: int) -> bytes:
        if token in self._added:
            added = self._added[token]
            return b"" if added.special else added.content.encode()
        spelling = self._tokenizer.convert_ids_to_tokens(token)
        return bytes(_byte_of()[character] for character in spelling) if isinstance(spelling, str) else b""


class IncrementalDetokenizer:
    r"""Text built token by token. Its cost per token does not grow with the text or with the stop strings.

    Example (stop = ["\n\n"]; text that may begin a stop string is held back):
        push(a)  -> "a"
        push(\n) -> ""
        push(b)  -> "\nb"
    """

    def __init__(self, token_bytes: TokenBytes, stop: Sequence[str] = ()):
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = [_StopString(text) for text in stop if text]
        self._parts: list[str] = []
        self._held = ""
        self.stopped = False
        self.token_texts: list[str] = []
        """The text that each token added; joined they are the text, but for what a stop string cuts off."""

    @property
    def text(self) -> str:
        """The text so far, with what is held back."""
        return "".join(self._parts) + self._held

    def push(self, token: int) -> str:
        """The text that is certain now and was not before."""
        return self._append(self._token_bytes[token])

    def finish(self) -> str:
        """The text that was held back, once no token follows."""
        emitted = self._append(b"", final=True)
        held, self._held = self._held, ""
        self._parts.append(held)
        return emitted + held

    def _append(self, data: bytes, final: bool = False) -> str:
        if self.stopped:
            return ""
        added = self._decoder.decode(data, final)
        if not final:
            self.token_texts.append(added)
        elif added and self.token_texts:
            self.token_texts[-1] += added
        pending = self._held + added
        end = self._stop_position(added, len(self._held))
        if end is not None:
            self.stopped, certain, self._held = True, pending[:end], ""
        else:
            held = max((stop.matched for stop in self._stop), default=0)
            certain, self._held = pending[: len(pending) - held], pending[len(pending) - held :]
        self._parts.append(certain)
        return certain

    def _stop_position(self, added: str, held: int) -> int | None:
        """Where in the pending text the first stop string begins that `added` completes; None where there is none."""
        starts = []
        for stop in self._stop:
            end = stop.feed(added)
            if end is not None:
                starts.append(held + end - len(stop.text))
        return min(starts) if starts else None


class _StopString:
    """A matcher fed character by character (Knuth, Morris and Pratt 1977): amortized constant time a character."""

    def __init__(self, text: str):
        self.text = text
        self.matched = 0
        """Characters at the end of the text so far that begin the stop string."""
        self._fallback = _prefix_function(text)

    def feed(self, added: str) -> int | None:
        """Characters of `added` up to the end of the first match; None where there is none."""
        for position, character in enumerate(added, 1):
            while self.matched and self.text[self.matched] != character:
                self.matched = self._fallback[self.matched - 1]
            self.matched += self.text[self.matched] == character
            if self.matched == len(self.text):
                return position
        return None


def _prefix_function(text: str) -> list[int]:
    """Of each prefix the length of its longest proper prefix that is also its suffix.

    Example:
        "abab" -> [0, 0, 1, 2]
    """
    lengths = [0] * len(text)
    matched = 0
    for position in range(1, len(text)):
        while matched and text[matched] != text[position]:
            matched = lengths[matched - 1]
        matched += text[matched] == text[position]
        lengths[position] = matched
    return lengths


@lru_cache(maxsize=1)
def _byte_of() -> dict[str, int]:
    """The byte of each character of a byte-level vocabulary: printable ones are Latin-1, others are numbered from 256.

    Source: GPT-2's `bytes_to_unicode` (Radford et al. 2019).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}
