"""A checkpoint's chat template applied to messages, in bounded time and memory whatever the template says.

Templates that `template_bounds` recognizes run in this process; others in a forked child with limits, which takes some
10 ms. Systems without `fork` run all of them here.
"""

import contextlib
import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from texlens.core.errors import ModelError, one_line
from texlens.inputs.template_bounds import is_bounded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_TEMPLATE_CHARACTERS = 200_000
RENDER_S = 5.0
"""Wall time; one of Qwen's takes under a millisecond."""
RENDER_BYTES = 256 << 20
"""Memory beyond what this process has."""
MAX_OUTPUT_BYTES = 64 << 20
OK, FAILED = b"o", b"e"


VARIABLES: dict[str, Any] = {"enable_thinking": False}
"""For templates of models that think before they answer: the answer follows an empty block, as they write it. Other
templates read no such variable."""


def render_template(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[dict[str, Any]], *, add_generation_prompt: bool
) -> str:
    """The text of the messages.

    Raises:
        ModelError: the template is damaged, refuses the messages, or takes too much time or memory.
    """

    def render() -> str:
        text = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt, **VARIABLES
        )
        if not isinstance(text, str):
            raise TypeError("it gives no text")
        return text

    template = str(tokenizer.chat_template or "")
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        raise ModelError(f"the chat template has {len(template):,} characters; use another checkpoint's")
    if _is_bounded(template) or not hasattr(os, "fork"):
        return _named_errors(render)
    return _in_child(render)


_is_bounded = lru_cache(maxsize=16)(is_bounded)


def _named_errors(render: Callable[[], str]) -> str:
    try:
        return render()
    except Exception as error:
        raise _refused(error) from error


def _refused(error: BaseException) -> ModelError:
    reason = one_line(error, 200) or type(error).__name__
    return ModelError(f"the chat template can't be used ({reason}); use another checkpoint's, or ask its authors")


def _in_child(render: Callable[[], str]) -> str:
    source, sink = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads; the child uses none
        child = os.fork()
    if child == 0:
        os.close(source)
        _answer(render, sink)
    os.close(sink)
    try:
        data = _read(source, time.monotonic() + RENDER_S)
    finally:
        os.close(source)
        _end(child)
    if data[:1] == OK:
        return data[1:].decode("utf-8", "surrogatepass")
    if data[:1] == FAILED:
        raise _refused(Exception(data[1:].decode()))
    raise ModelError(
        f"the chat template takes over {RENDER_S:g} s, {RENDER_BYTES >> 20} MiB or {MAX_OUTPUT_BYTES >> 20} MiB of "
        "text; use another checkpoint's"
    )


def _answer(render: Callable[[], str], sink: int) -> None:
    """The child: writes the text or the error, and ends."""
    try:
        _limit()
        try:
            data = OK + render().encode("utf-8", "surrogatepass")
        except MemoryError:
            os._exit(1)
        except Exception as error:  # noqa: BLE001 - any error of the template is the answer
            data = FAILED + (one_line(error, 200) or type(error).__name__).encode(errors="replace")
        while data:
            data = data[os.write(sink, data) :]
    finally:
        os._exit(0)


def _limit() -> None:
    """Of memory where Linux says how much is in use; elsewhere time and output alone are bounded."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        in_use_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = in_use_bytes + RENDER_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _read(source: int, deadline: float) -> bytes:
    """What the child wrote; empty if it was late or wrote too much."""
    data = bytearray()
    while (left_s := deadline - time.monotonic()) > 0:
        if not select.select([source], [], [], left_s)[0]:
            return b""
        part = os.read(source, 1 << 20)
        if not part:
            return bytes(data)
        data += part
        if len(data) > MAX_OUTPUT_BYTES:
            return b""
    return b""


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
