"""`texlens compare`, `read`, `serve` and validation while training, as a user runs them, on a model of random weights.

    python benchmarks/reading_commands.py --output benchmarks/results/reading_commands_h200_DATE.json
    python benchmarks/reading_commands.py --tiny            # two narrow layers, on the CPU: only whether it runs

A checkpoint of the full size is written into a temporary folder with nano's tokenizer. Its embedding and head are such
that each token is followed by another in a long cycle: answers neither end nor repeat themselves, so that all have
exactly 115 tokens. Adapters are LoRA r 16 on the seven text projections. `compare` is run twice: the second time with
kernels in Triton's cache; its time after the weights are loaded begins where reading begins.
"""

import argparse
import asyncio
import io
import json
import os
import pstats
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

NEW_TOKENS, RANK = 115, 16
NANO_TOKENS = {"image_token_id": 1022, "vision_start_token_id": 1019, "vision_end_token_id": 1020}
NANO_TOKENS |= {"video_token_id": 1023}
END, PAD, TEXT_TOKENS = 1016, 1017, 1016
EMBEDDING_STD = 30.0
"""The embedding outweighs what the layers add, so that the head sees which token was last."""
SPREAD = 389
"""Each token is followed by the one so many places on; no divisor of the number of text tokens."""
READ_LINE = re.compile(r"^read [\d,]+ rows? .* in ([\d.]+) s")
PREFIX = [sys.executable, "-m", "texlens"]
STACK_S = 0.1
LOAD_S = 6
SAMPLED = """
import runpy, sys, threading, time, traceback
out, wait_s = open(sys.argv[1], "w"), float(sys.argv[2])
def sample():
    while True:
        time.sleep(wait_s)
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            name = names.get(ident, "")
            if name in ("MainThread", "texlens-scheduler"):
                frames = traceback.extract_stack(frame)[::-1]
                out.write(name + "; " + "; ".join(f"{f.filename}:{f.lineno} {f.name}" for f in frames) + chr(10))
        out.flush()
threading.Thread(target=sample, daemon=True).start()
sys.argv[1:3] = []
runpy.run_module("texlens", run_name="__main__")
"""


def settings_for(model: str, *, tiny: bool) -> dict:
    from fast_path_rows import settings_of

    settings = settings_of(model, tiny)
    text = settings.get("text_config", settings)
    text |= {"eos_token_id": END, "pad_token_id": PAD, "tie_word_embeddings": False}
    return {**settings, **NANO_TOKENS, "tie_word_embeddings": False}


def write_checkpoint(folder: Path, model: str, *, tiny: bool) -> None:
    """Random weights, nano's tokenizer, and the family's image geometry."""
    import torch
    from fast_path_rows import base_model

    from texlens.models.bundled import NANO_FOLDER

    device = torch.device("cuda" if torch.cuda.is_available() and not tiny else "cpu")
    built = base_model(settings_for(model, tiny=tiny), device)
    with torch.no_grad():
        embedding, head = built.get_input_embeddings().weight, built.get_output_embeddings().weight
        embedding.normal_(std=EMBEDDING_STD)
        head.zero_()
        following = (torch.arange(TEXT_TOKENS, device=device) + SPREAD) % TEXT_TOKENS
        head[following] = embedding[:TEXT_TOKENS] / EMBEDDING_STD
        head[following[END - 1]] = embedding[1018] / EMBEDDING_STD
    built.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "preprocessor_config.json"):
        shutil.copy(NANO_FOLDER / name, folder / name)
    image = json.loads((folder / "preprocessor_config.json").read_text())
    image |= {"patch_size": built.config.vision_config.patch_size}
    image["size"] = {"shortest_edge": 65_536, "longest_edge": 1_000_000}
    (folder / "preprocessor_config.json").write_text(json.dumps(image))
    del built
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def write_images(folder: Path, count: int) -> None:
    """PNG files of 120 to 180 image tokens, and a table with a formula each."""
    from reading_gpu import drawn_png

    from texlens.data.geometry import ImageGeometry

    geometry, lines = ImageGeometry(patch_size=16), []
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:04}.png").write_bytes(drawn_png(number % 256, geometry))
        text = rf"\frac{{x_{{{number}}} + {number % 7}}}{{\sqrt{{y}}}} = \int_0^{{{number % 11}}} f(t) \, dt"
        lines.append(json.dumps({"image": f"{number:04}.png", "text": text}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


def write_run(folder: Path, checkpoint: Path, data: Path) -> Path:
    """A run folder with an adapter of random weights, as training would leave it."""
    import torch
    import yaml
    from peft import LoraConfig, get_peft_model

    from texlens.adapters.build import build_metadata
    from texlens.adapters.lora import save_adapter
    from texlens.config.load import load_saved_config
    from texlens.core.run_folder import RunFolder
    from texlens.models.build import build_base, build_model
    from texlens.models.families import family_of

    config = {
        "name": "random",
        "model": {"path": str(checkpoint)},
        "data": {
            "path": str(data / "rows.jsonl"),
            "prompt": "Transcribe the LaTeX of this image.",
            "splits": {"validation": 0.1, "test": 0.6},
        },
        "adapter": {"kind": "lora", "rank": RANK, "alpha": 2 * RANK, "targets": ["text-attention", "text-mlp"]},
        "train": {
            "steps": 4,
            "batch_size": 8,
            "validation": {"every_steps": 2, "generation_rows": 64, "metrics": ["exact_match"]},
        },
        "evaluate": {"max_new_tokens": NEW_TOKENS},
        "output": str(folder / "runs"),
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    run = RunFolder.create(folder / "runs", "random", (folder / "run.yaml").read_text())
    saved = load_saved_config(run.config)
    base = build_base(saved.model)
    model = build_model(base, saved.model)
    groups = family_of(json.loads((checkpoint / "config.json").read_text())).groups
    pattern = f"{groups['text-attention']}|{groups['text-mlp']}"
    adapted = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=pattern))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.002)
    run.adapter.mkdir(parents=True, exist_ok=True)
    save_adapter(adapted, run.adapter, build_metadata(saved, base))
    run.update(state="finished")
    del model, adapted
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return run.path


def command(
    arguments: list[str],
    limit_s: float,
    log: Path,
    *,
    cache: Path | None = None,
    profile: Path | None = None,
    stacks: Path | None = None,
) -> dict:
    """Seconds of a command, those after its weights were loaded, and the end of what it printed.

    Args:
        cache: of compiled kernels.
        profile: a file for what its main thread did.
        stacks: a file for the stacks of its threads, written every `STACK_S` seconds.
    """
    began, lines, read_at = time.monotonic(), [], 0.0
    prefix = [*PREFIX[:1], "-m", "cProfile", "-o", str(profile), *PREFIX[1:]] if profile else PREFIX
    if stacks is not None:
        prefix = [sys.executable, "-c", SAMPLED, str(stacks), str(STACK_S)]
    process = subprocess.Popen(
        [*prefix, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | ({"TRITON_CACHE_DIR": str(cache)} if cache else {}),
    )
    timer = threading.Timer(limit_s, process.kill)
    timer.start()
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if READ_LINE.search(line):
            read_at = time.monotonic()
    code = process.wait()
    timer.cancel()
    ended = time.monotonic()
    log.write_text("\n".join(lines))
    result = {"seconds": round(ended - began, 1), "exit": code, "end": lines[-4:]}
    reading = [float(match[1]) for line in lines if (match := READ_LINE.search(line))]
    if reading:
        result |= {"reading_s": reading, "after_loading_s": round(ended - read_at + reading[-1], 1)}
    if stacks is not None and stacks.exists():
        result["after_reading"] = seconds_by_place(stacks.read_text(), ended - read_at)
    return result


def seconds_by_place(stacks: str, last_s: float, thread: str = "MainThread") -> dict[str, float]:
    """Where a thread was in the last seconds, with seconds: the innermost frame and the innermost of texlens."""
    counts: dict[str, int] = {}
    lines = [line for line in stacks.splitlines() if line.startswith(f"{thread}; ")]
    for line in lines[-int(last_s / STACK_S) :]:
        frames = line.split("; ")[1:]
        inner = [frame for frame in frames if "/texlens/" in frame][:3]
        name = " < ".join(frame.rpartition("/")[2] for frame in dict.fromkeys([frames[0], *inner]))
        counts[name] = counts.get(name, 0) + 1
    by_count = sorted(counts.items(), key=lambda item: -item[1])
    return {name: round(count * STACK_S, 2) for name, count in by_count[:40]}


# The commands --------------------------------------------------------------------------------------------------------


def compare(root: Path, options) -> dict:
    """501 rows by base and adapter: without built kernels, with them, and where the time goes."""
    rows = 4 if options.tiny else 501
    arguments = ["compare", str(root / "runs/random"), "--no-cache", "--set", f"evaluate.max_rows={rows}"]
    result = {}
    for name in options.compares:
        profile = options.logs / f"compare-{name}.prof" if name == "profiled" else None
        log = options.logs / f"compare-{name}.log"
        cache = None if name in ("built", "sampled") else root / "triton"
        stacks = options.logs / "compare-stacks.txt" if name == "sampled" else None
        result[name] = command(arguments, options.limit_s, log, cache=cache, profile=profile, stacks=stacks)
        print("compare", name, json.dumps(result[name]), flush=True)
        if profile is not None and profile.exists():
            print_profile(profile)
    return result


def print_profile(file: Path) -> None:
    """The functions that took longest, alone and with what they called."""
    for order, restrictions in (("tottime", (25,)), ("cumtime", ("texlens/(inference|evaluation|metrics|models)", 60))):
        text = io.StringIO()
        pstats.Stats(str(file), stream=text).sort_stats(order).print_stats(*restrictions)
        lines = [line.replace(str(ROOT / "src"), "") for line in text.getvalue().splitlines() if line.strip()]
        print("\n".join(line[:150] for line in lines), flush=True)


def read(root: Path, options) -> dict:
    """A folder of images into a file, with the run's adapter."""
    output = root / "readings.jsonl"
    arguments = ["read", str(root / "images"), "--model", str(root / "runs/random"), "-o", str(output)]
    result = command(arguments, options.limit_s, options.logs / "read.log")
    rows = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    stops: dict[str, int] = {}
    for row in rows:
        stops[row.get("stop", "failed")] = stops.get(row.get("stop", "failed"), 0) + 1
    return {**result, "rows": len(rows), "stops": stops}


def serve(root: Path, options) -> dict:
    """Clients that each ask for one image after the other, over HTTP."""
    images = [file.read_bytes() for file in sorted((root / "images").glob("*.png"))[:128]]
    log = (options.logs / "serve.log").open("w")
    arguments = ["serve", str(root / "runs/random"), "--port", "18321", "--slots", "128", "--max-queue", "1024"]
    stacks = options.logs / "serve-stacks.txt"
    prefix = [sys.executable, "-c", SAMPLED, str(stacks), str(STACK_S)] if options.sample_server else PREFIX
    server = subprocess.Popen([*prefix, *arguments], stdout=log, stderr=subprocess.STDOUT)
    try:
        result = asyncio.run(clients_of(images, options))
        if options.sample_server:
            for thread in ("MainThread", "texlens-scheduler"):
                result[thread] = seconds_by_place(stacks.read_text(), LOAD_S, thread)
        return result
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


async def clients_of(images: list[bytes], options) -> dict:
    import httpx

    url = "http://127.0.0.1:18321"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        began = time.monotonic()
        while time.monotonic() - began < options.limit_s:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(0.5)
        result: dict = {"ready_after_s": round(time.monotonic() - began, 1)}
        for clients in (2,) if options.tiny else options.clients:
            seconds = 2 if options.tiny else LOAD_S
            await load(http, images, clients, 3)
            result[str(clients)] = await load(http, images, clients, seconds)
            print(clients, "clients", json.dumps(result[str(clients)]), flush=True)
        return result


async def load(http, images: list[bytes], clients: int, seconds: float) -> dict:
    import numpy as np

    latencies, statuses = [], {}
    began = time.monotonic()

    async def client(number: int) -> None:
        turn = 0
        while time.monotonic() - began < seconds:
            sent = time.monotonic()
            file = images[(number * 7 + turn) % len(images)]
            answer = await http.post("/v1/read", files={"file": file}, data={"max_tokens": str(NEW_TOKENS)})
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code == 200:
                latencies.append(time.monotonic() - sent)
            turn += 1

    await asyncio.gather(*(client(number) for number in range(clients)))
    spent = time.monotonic() - began
    return {
        "rows_per_s": round(len(latencies) / spent, 1),
        "p50_s": round(float(np.quantile(latencies, 0.5)), 2) if latencies else None,
        "p95_s": round(float(np.quantile(latencies, 0.95)), 2) if latencies else None,
        "statuses": statuses,
    }


def train(root: Path, options) -> dict:
    """Four steps with two validations by generation of 64 rows, over the weights in training."""
    result = command(["train", str(root / "run.yaml")], options.limit_s, options.logs / "train.log")
    metrics = sorted((root / "runs").glob("random-*/metrics.jsonl"))
    rows = [json.loads(line) for line in metrics[-1].read_text().splitlines()] if metrics else []
    return {**result, "validations": [row for row in rows if any("exact_match" in key for key in row)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--commands", nargs="+", default=["compare", "read", "serve", "train"])
    parser.add_argument(
        "--compares",
        nargs="+",
        default=["first", "second"],
        help="first, second, profiled; built: with the kernels that are in Triton's own cache; sampled: the same, and "
        "where its main thread was after reading",
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--sample-server", action="store_true", help="where the server's threads were")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--limit-s", type=float, default=150)
    parser.add_argument("--folder", type=Path, help="where the checkpoint is written; default: a temporary folder")
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    import torch

    figures: dict = {
        "theme": "reading by the commands",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": "CPU" if options.tiny else torch.cuda.get_device_name(),
        "versions": {"torch": torch.__version__},
        "command": "python " + " ".join(sys.argv),
        "model": options.model,
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root, began = Path(folder), time.monotonic()
        write_checkpoint(root / "base", options.model, tiny=options.tiny)
        write_images(root / "images", 40 if options.tiny else options.images)
        write_run(root, root / "base", root / "images")
        print(f"written after {time.monotonic() - began:.1f} s", flush=True)
        for name in options.commands:
            figures[name] = globals()[name](root, options)
            print(name, json.dumps(figures[name]), flush=True)
            if options.output:
                options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
