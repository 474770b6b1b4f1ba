"""Images decoded and cut into patches in processes of their own, beside a process that keeps a GPU busy.

Threads would take turns with the thread that launches the GPU's work, thousands of times a second.
"""

import subprocess
import threading
from dataclasses import asdict
from queue import SimpleQueue
from typing import IO

import numpy as np

from texlens.core.errors import DataError
from texlens.core.own_process import module_command
from texlens.data.geometry import ImageGeometry
from texlens.data.lazy_image import LazyImage
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.patching.frames import read_frame, write_frame

START_AFTER = 32
"""Images that are patched in the calling thread before processes are started: fewer are done sooner without."""

PIPE_BYTES = 2**20
"""Most images' patches fit into a pipe of this size, so that a thread takes them in one turn."""

Patches = tuple[np.ndarray, tuple[int, int, int]]


class PatchProcesses:
    """Up to `count` processes, started after the first images; until one is ready, calling threads do the work.

    Thread-safe. A context manager: at its end the processes are ended.
    """

    def __init__(self, count: int, *, start_after: int = START_AFTER):
        self._count, self._start_after = count, start_after
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._lock = threading.Lock()
        self._asked = self._ready = 0
        self._processes: list[_Process] = []
        self._closed = False

    def __enter__(self) -> "PatchProcesses":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ready(self) -> int:
        """Processes that take images."""
        return self._ready

    def patches(self, image: LazyImage, geometry: ImageGeometry) -> Patches:
        """`image_to_raw_patches` of the decoded image.

        Raises:
            DataError: the image can't be decoded, or not cut.
        """
        self._start_when_worth_it()
        if not self._ready:
            return image_to_raw_patches(image.load(), geometry)
        process = self._idle.get()
        try:
            return process.patches(image, geometry)
        except (OSError, EOFError):
            process.kill()
            process = _Process()
            raise DataError(f"{image.where}: the image ended the process that decoded it; remove it") from None
        finally:
            self._idle.put(process)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        while not self._idle.empty():
            self._idle.get().kill()
        for process in self._processes:
            process.kill()

    def _start_when_worth_it(self) -> None:
        with self._lock:
            self._asked += 1
            if self._asked <= self._start_after or self._processes or not self._count:
                return
            self._processes = [_Process() for _ in range(self._count)]
        for process in self._processes:
            threading.Thread(target=self._add_when_ready, args=(process,), daemon=True).start()

    def _add_when_ready(self, process: "_Process") -> None:
        if process.wait_until_ready():
            with self._lock:
                if not self._closed:
                    self._idle.put(process)
                    self._ready += 1
                    return
        process.kill()


class _Process:
    """One patching process, used by one thread at a time."""

    def __init__(self) -> None:
        command = module_command("texlens.inputs.patching.worker")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._is_ready = False
        for pipe in self._pipes:
            _widen(pipe)

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        return source, sink

    def wait_until_ready(self) -> bool:
        try:
            read_frame(self._pipes[0])
        except (OSError, EOFError, ValueError):
            return False
        self._is_ready = True
        return True

    def patches(self, image: LazyImage, geometry: ImageGeometry) -> Patches:
        source, sink = self._pipes
        if not self._is_ready:
            self.wait_until_ready()
        header = {"where": image.where, "max_pixels": image.max_pixels, "geometry": asdict(geometry)}
        write_frame(sink, header, image.encoded())
        answer, data = read_frame(source)
        if "error" in answer:
            raise DataError(answer["error"], answer["kind"])
        frames, rows, columns = answer["grid"]
        return np.frombuffer(data, np.uint8).reshape(answer["shape"]), (frames, rows, columns)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was buffered for a process that has ended


def _widen(pipe: IO[bytes]) -> None:
    """Only Linux can, and only while a user's pipes are not too large in all; it saves time and nothing else."""
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        return
