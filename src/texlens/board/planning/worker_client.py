"""The board's end of the planning process: started when it is first needed, replaced when it dies or takes too long."""

import json
import subprocess
import threading
from typing import Any

from texlens.core.errors import ConfigError
from texlens.core.own_process import module_command

COMMAND = tuple(module_command("texlens.board.planning.worker"))
TIMEOUT_S = 180.0
"""The first plan imports torch; the plan of a large data set reads all image headers."""


class PlanningClient:
    """Requests are answered one at a time."""

    def __init__(self, command: tuple[str, ...] = COMMAND, timeout_s: float = TIMEOUT_S):
        self._command, self._timeout_s = command, timeout_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, task: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
        """
        Raises:
            ConfigError: what the planner refused, or that it took too long.
        """
        with self._lock:
            response = self._exchange(json.dumps({"task": task, "values": values, **more}))
        if "error" in response:
            raise ConfigError(response["error"])
        return response["result"]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _exchange(self, line: str) -> dict[str, Any]:
        process = self._running()
        timer = threading.Timer(self._timeout_s, process.kill)
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        except (OSError, ValueError):
            self.close()
            return {"error": f"the plan was given up (over {self._timeout_s:g} s, or out of memory); try less data"}
        finally:
            timer.cancel()

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        return self._process
