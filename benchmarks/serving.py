"""The server under load: one client at a time against many, latencies, refusals, memory, clients that leave mid-stream.

python benchmarks/serving.py [--clients 64] [--seconds 60] [--model nano] [--out benchmarks/results/NAME.json] [--tiny]

Formulas of 10 to 80 tokens are drawn beforehand; clients share the machine with the server, and where other programs
do so too, readings a second of the server's own processor time compare better than readings a second.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil

from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.render.formats import render_png

IMAGES = 200


def images(seed: int) -> list[bytes]:
    rng, generator = random.Random(seed), RandomFormulas()
    return [render_png(generator.sample(rng, rng.randint(10, 80)), pixels_per_em=16) for _ in range(IMAGES)]


class Load:
    """What a phase of the load saw."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._cpu_began = self._cpu_s()
        self.statuses: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.began = time.monotonic()

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def report(self) -> dict:
        passed = time.monotonic() - self.began
        cuts = statistics.quantiles(self.seconds, n=100) if len(self.seconds) > 1 else [0.0] * 99
        return {
            "seconds": round(passed, 1),
            "answers": dict(self.statuses),
            "per_second": round(self.statuses["200"] / passed, 3),
            "per_server_cpu_second": round(self.statuses["200"] / (self._cpu_s() - self._cpu_began), 3),
            "milliseconds": {name: round(cuts[at] * 1000) for name, at in (("p50", 49), ("p95", 94), ("p99", 98))},
        }


async def client(url: str, drawn: list[bytes], seed: int, until: float, load: Load) -> None:
    rng = random.Random(seed)
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                answer = await http.post("/v1/read", files={"file": rng.choice(drawn)})
                status = str(answer.status_code)
            except httpx.HTTPError as error:
                status = type(error).__name__
            load.statuses[status] += 1
            if status == "200":
                load.seconds.append(time.monotonic() - began)
            elif status == "429":
                await asyncio.sleep(0.5)


async def phase(url: str, process: psutil.Process, drawn: list[bytes], clients: int, seconds: float) -> dict:
    load = Load(process)
    until = load.began + seconds
    await asyncio.gather(*(client(url, drawn, seed, until, load) for seed in range(clients)))
    return {"clients": clients, **load.report()}


async def memory(process: psutil.Process, samples: list[float]) -> None:
    while True:
        samples.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(1)


async def leave_mid_stream(url: str, drawn: list[bytes], clients: int) -> dict:
    """Clients that close after their first token; afterwards the server must be empty and answer."""

    async def leave(number: int) -> None:
        async with (
            httpx.AsyncClient(base_url=url, timeout=60) as http,
            http.stream("POST", "/v1/read", files={"file": drawn[number]}, data={"stream": "true"}) as answer,
        ):
            async for _ in answer.aiter_lines():
                return

    before = gauge(url, 'texlens_readings_total{outcome="cancelled"}')
    await asyncio.gather(*(leave(number) for number in range(clients)))
    await asyncio.sleep(3)
    after = httpx.post(f"{url}/v1/read", files={"file": drawn[0]}, timeout=60)
    return {
        "clients": clients,
        "cancelled": gauge(url, 'texlens_readings_total{outcome="cancelled"}') - before,
        "still_running": gauge(url, "texlens_running"),
        "then": after.status_code,
    }


def gauge(url: str, name: str) -> int:
    match = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{url}/metrics", timeout=60).text, re.MULTILINE)
    return round(float(match[1])) if match else 0


async def measure(url: str, process: psutil.Process, clients: int, seconds: float) -> dict:
    drawn = images(0)
    await phase(url, process, drawn, 4, min(5.0, seconds))
    samples: list[float] = []
    single = [await phase(url, process, drawn, 1, seconds / 3)]
    watch = asyncio.create_task(memory(process, samples))
    many = await phase(url, process, drawn, clients, seconds)
    watch.cancel()
    single.append(await phase(url, process, drawn, 1, seconds / 3))
    single_rate, single_cpu_rate = (
        statistics.mean(part[name] for part in single) for name in ("per_second", "per_server_cpu_second")
    )
    third = max(1, len(samples) // 3)
    return {
        "one_at_a_time": single,
        "together": many,
        "times_one_at_a_time": round(many["per_second"] / single_rate, 2) if single_rate else None,
        "times_one_at_a_time_per_cpu_second": round(many["per_server_cpu_second"] / single_cpu_rate, 2)
        if single_cpu_rate
        else None,
        "server_mib": {
            "second_third": round(statistics.mean(samples[third : 2 * third] or samples)),
            "last_third": round(statistics.mean(samples[-third:])),
            "highest": round(max(samples)),
        },
        "left_mid_stream": await leave_mid_stream(url, drawn, min(8, clients)),
    }


def started(model: str, log: Path) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "texlens", "serve", model, "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, stdout=file)
    for _ in range(600):
        match = re.search(r"http://\S+(?=/v1)", log.read_text())
        if match:
            return process, match[0]
        time.sleep(0.2)
    raise SystemExit(f"the server did not start; see {log}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tiny", action="store_true", help="2 clients for 3 seconds")
    args = parser.parse_args()
    if args.tiny:
        args.clients, args.seconds = 2, 3.0
    log = Path("/tmp") / f"texlens-serving-{os.getpid()}.log"
    process, url = started(args.model, log)
    try:
        figures = asyncio.run(measure(url, psutil.Process(process.pid), args.clients, args.seconds))
    finally:
        process.terminate()
        code = process.wait(120)
    report = {
        "command": " ".join(["python", *sys.argv]),
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "threads": os.environ.get("OMP_NUM_THREADS", "as many as cores"),
            "load_before": os.getloadavg()[0],
        },
        "versions": {name: version(name) for name in ("torch", "transformers", "fastapi", "uvicorn")},
        **figures,
        "exit_code_after_sigterm": code,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
