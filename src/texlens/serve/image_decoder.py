"""Images that clients send, decoded in processes of their own: a decoder that hangs or needs too much memory is ended
after `timeout_s`, and neither the server nor another request is affected."""

import asyncio
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from PIL import Image

from texlens.core.errors import TOO_LARGE, DataError
from texlens.core.own_process import module_command
from texlens.data.sample import LazyImage
from texlens.serve.decode_worker import ERROR, OK

Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodedImage(LazyImage):
    """An image whose RGB pixels are at hand."""

    pixels: Image.Image | None = None

    @property
    def size(self) -> tuple[int, int]:  # type: ignore[override]
        return self.load().size

    def load(self) -> Image.Image:
        assert self.pixels is not None
        return self.pixels


class ImageDecoder:
    """A pool of `processes` decoding processes, started when first needed. Thread-safe."""

    def __init__(self, *, max_pixels: int, timeout_s: float, processes: int, command: list[str] | None = None):
        """`command` starts a worker; the tests put others in its place."""
        self._max_pixels, self._timeout_s = max_pixels, timeout_s
        self._command = command or module_command("texlens.serve.decode_worker")
        self._threads = ThreadPoolExecutor(processes, "texlens-decode")
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    async def run(self, data: bytes, name: str, then: Callable[[LazyImage], Result]) -> Result:
        """What `then` makes of the decoded image, computed in a thread of the pool.

        Raises:
            DataError: the image can't be decoded, or not within time and memory; and what `then` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: then(self.decode(data, name)))

    def decode(self, data: bytes, name: str) -> DecodedImage:
        """The image, decoded by a process.

        Raises:
            DataError: as `run`.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or _Worker(self._command)
        image = worker.decode(data, name, self._max_pixels, self._timeout_s)
        if worker.is_alive:
            with self._lock:
                self._idle.append(worker)
        if isinstance(image, DataError):
            raise image
        return DecodedImage(lambda: data, name, pixels=image)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """One decoding process, used by one thread at a time."""

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._timed_out = False

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def decode(self, data: bytes, name: str, max_pixels: int, timeout_s: float) -> Image.Image | DataError:
        """The image, or why there is none."""
        timer = threading.Timer(timeout_s, self._expire)
        timer.daemon = True
        timer.start()
        try:
            return self._exchange(data, name, max_pixels)
        except (OSError, EOFError):
            self.kill()
            if self._timed_out:
                return DataError(f"{name}: decoding it took over {timeout_s:g} s; send another image", TOO_LARGE)
            return DataError(f"{name}: the image can't be decoded; send another one")
        finally:
            timer.cancel()

    def kill(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                _close(pipe)
        self._process.wait()

    def _expire(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _exchange(self, data: bytes, name: str, max_pixels: int) -> Image.Image | DataError:
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        label = name.encode()
        sink.write(_number(len(label)) + label + _number(max_pixels) + _number(len(data)))
        sink.write(data)
        sink.flush()
        status = _read(source, 1)
        if status == ERROR:
            kind = _read(source, _read_number(source)).decode()
            return DataError(_read(source, _read_number(source)).decode(), kind)
        if status != OK:
            raise EOFError
        width, height = _read_number(source), _read_number(source)
        return Image.frombytes("RGB", (width, height), _read(source, 3 * width * height))


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:
        return  # what was buffered for a process that has ended


def _read(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _read_number(source: IO[bytes]) -> int:
    return int.from_bytes(_read(source, 8), "big")


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")
