"""What `texlens serve` costs the host for a request: HTTP, images, prompts, tokens, answers; the GPU only waits.

    python benchmarks/serving_host.py --clients 64 128 --write benchmarks/results

In place of the model a batch sleeps as long as a Qwen3-VL-4B takes on an H200 (a step 4 ms and 0.012 ms a row, a
prefill 4 ms and 3.3 ms a row) and gives each row 115 tokens. Images are those of `benchmarks/reading_gpu.py`. Clients
run in a process of their own. `ms_of_server_a_request` is processor time of the server's process: its threads share one
interpreter, so that a thousand divided by it is about what it can answer a second; decoding processes are apart.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from reading_commands import NEW_TOKENS, load, write_checkpoint
from reading_gpu import drawn_png
from result import write_result

from texlens.data.geometry import ImageGeometry
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.scheduling.scheduler import RequestScheduler, open_scheduler
from texlens.inputs.example import Example
from texlens.serve.app import create_app
from texlens.serve.server import serve
from texlens.serve.settings import ServeSettings
from texlens.serve.sockets import listening_socket, start_listening

STEP_S, ROW_S, PREFILL_S, PROMPT_S = 4e-3, 1.2e-5, 4e-3, 3.3e-3


class WaitingBatch:
    """See `DecodingBatch`: tokens without a model."""

    raw_patches = True

    def __init__(self) -> None:
        self._rows: list[GenerationState] = []
        self._owed_s = 0.0

    @property
    def states(self) -> Sequence[GenerationState]:
        return self._rows

    def prefill(self, prompts: Sequence[Example], states: Sequence[GenerationState]) -> None:
        self._rows += states
        self._owed_s += PREFILL_S + PROMPT_S * len(prompts)

    def step(self) -> None:
        time.sleep(self._owed_s + STEP_S + ROW_S * len(self._rows))
        self._owed_s = 0.0
        for state in self._rows:
            if state.is_active:
                state.append_token(len(state.tokens) % 1000, -0.01, frozenset({1016}), [])
        self._rows = [state for state in self._rows if state.is_active]


def served(scheduler: RequestScheduler, counts: Sequence[int], seconds: float) -> dict:
    """Figures by number of clients."""
    scheduler._batch = WaitingBatch()  # type: ignore[assignment]
    bound, figures = listening_socket("127.0.0.1", 0), {}
    start_listening(bound)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"

    def measure() -> None:
        for count in counts:
            before, prefills = processor_s(), scheduler.counts.prefills
            command = [sys.executable, __file__, "--client", url, "--clients", str(count), "--seconds", str(seconds)]
            report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
            requests = report.pop("requests")
            figures[f"{count} clients"] = report | {
                "ms_of_server_a_request": round((processor_s() - before) / requests * 1e3, 2),
                "rows_a_prefill": round(requests / max(1, scheduler.counts.prefills - prefills), 1),
            }
            print(count, "clients", figures[f"{count} clients"], flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=measure, daemon=True).start()
    serve(create_app(scheduler, ServeSettings()), ServeSettings(), bound)
    return figures


def processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def clients_of(url: str, count: int, seconds: float) -> dict:
    import httpx

    images = [drawn_png(number, ImageGeometry(patch_size=16)) for number in range(64)]
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        report = await load(http, images, count, seconds)
    return report | {"requests": sum(report["statuses"].values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(asyncio.run(clients_of(options.client, options.clients[0], options.seconds))))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder) / "base", "Qwen3-VL-4B-Instruct", tiny=True)
        with open_scheduler([str(Path(folder) / "base")], slots=128, max_waiting=1024) as scheduler:
            figures = served(scheduler, options.clients, options.seconds)
    if options.write:
        command = f"python benchmarks/serving_host.py --clients {' '.join(map(str, options.clients))}"
        figures |= {"new_tokens": NEW_TOKENS, "load_average": round(os.getloadavg()[0], 1)}
        write_result(options.write, "serving host", command, ("fastapi", "uvicorn"), figures)


if __name__ == "__main__":
    main()
