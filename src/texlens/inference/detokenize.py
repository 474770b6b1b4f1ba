"""Tokens back to text, one at a time: each token's own bytes, text as it comes, stop strings found on the way."""

import codecs
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


class TokenPieces:
    """The bytes that each token of a byte-level vocabulary stands for; a special token stands for none."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._added = tokenizer.added_tokens_decoder
        self._known: dict[int, bytes] = {}

    def __getitem__(self, token: int) -> bytes:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._bytes(token)
        return known

    def _bytes(self, token: int) -> bytes:
        if token in self._added:
            added = self._added[token]
            return b"" if added.special else added.content.encode()
        spelt = self._tokenizer.convert_ids_to_tokens(token)
        return bytes(_byte_of()[character] for character in spelt) if isinstance(spelt, str) else b""


class TextStream:
    r"""Text put together token by token.

    Example (stop = ["\n\n"]; a text that may be the beginning of a stop string is held back):
        push(a)  -> "a"
        push(\n) -> ""
        push(b)  -> "\nb"
    """

    def __init__(self, pieces: TokenPieces, stop: Sequence[str] = ()):
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(text for text in stop if text)
        self._shown = 0
        self.text = ""
        self.stopped = False
        self.spelt: list[str] = []
        """What each token added; put together they are the text, but for what a stop string cuts off."""

    def push(self, token: int) -> str:
        """The text that is sure now."""
        return self._take(self._pieces[token])

    def finish(self) -> str:
        """The rest, once no token will follow."""
        rest = self._take(b"", final=True)
        rest += self.text[self._shown :]
        self._shown = len(self.text)
        return rest

    def _take(self, data: bytes, final: bool = False) -> str:
        if self.stopped:
            return ""
        added = self._decoder.decode(data, final)
        if not final:
            self.spelt.append(added)
        elif added and self.spelt:
            self.spelt[-1] += added
        begin = len(self.text)
        self.text += added
        self._cut(begin)
        sure = len(self.text) - (0 if self.stopped else self._held())
        shown, self._shown = self.text[self._shown : sure], max(sure, self._shown)
        return shown

    def _cut(self, begin: int) -> None:
        """Ends the text before the first stop string that the characters from `begin` on completed."""
        places = [self.text.find(stop, max(0, begin - len(stop) + 1)) for stop in self._stop]
        found = [place for place in places if place >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True

    def _held(self) -> int:
        """How many characters at the end may be the beginning of a stop string."""
        for length in range(max(map(len, self._stop), default=1) - 1, 0, -1):
            if any(len(stop) > length and self.text.endswith(stop[:length]) for stop in self._stop):
                return length
        return 0


@lru_cache(maxsize=1)
def _byte_of() -> dict[str, int]:
    """The byte of each character that a byte-level vocabulary spells with: printable ones are themselves, in Latin-1,
    the others are numbered from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}
