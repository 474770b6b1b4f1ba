"""Damaged requests to the server, sent within one process."""

import base64
import json
import random
import time
from typing import Any

from hostile.damage import changed_value, damaged_bytes

MAX_S = 20
PATHS = ("/v1/chat/completions", "/v1/read", "/v1/models/x", "/v1/models", "/healthz", "/metrics", "/nothing")


def call_server(rng: random.Random, count: int) -> int:
    """Exit code: 0 if no answer was 500 and none took longer than `MAX_S`, else 1."""
    from fastapi.testclient import TestClient
    from tests.unit.serve.conftest import tiny_scheduler

    from texlens.serve.app import create_app
    from texlens.serve.settings import ServeSettings

    settings = ServeSettings(max_body_bytes=2_000_000, max_image_pixels=1_000_000, max_tokens=64, hosts=("testserver",))
    code = 0
    with (
        tiny_scheduler() as scheduler,
        TestClient(create_app(scheduler, settings), raise_server_exceptions=False) as client,
    ):
        for _ in range(count):
            began = time.perf_counter()
            method, path, options = _request(rng)
            status = client.request(method, path, **options).status_code
            seconds = time.perf_counter() - began
            print(method, path, status, f"{seconds:.1f} s", flush=True)
            if status == 500 or seconds > MAX_S:
                print("Traceback stands for this:", options, flush=True)
                code = 1
    return code


def _request(rng: random.Random) -> tuple[str, str, dict[str, Any]]:
    from tests.unit.serve.conftest import IMAGE

    kind = rng.randrange(4)
    if kind == 0:
        image = damaged_bytes(IMAGE, rng)
        fields = {rng.choice(FORM_FIELDS): rng.choice(FORM_VALUES) for _ in range(rng.randrange(4))}
        return "POST", "/v1/read", {"files": {"file": (rng.choice(NAMES), image)}, "data": fields}
    body: Any = _chat(base64.b64encode(IMAGE if kind == 1 else damaged_bytes(IMAGE, rng)).decode(), rng)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        body = changed_value(body, rng)
    try:
        data = json.dumps(body).encode()
    except ValueError:
        data = b"{"
    if kind == 3:
        data = damaged_bytes(data, rng)
    headers = {
        "content-type": rng.choice(("application/json", "application/json", "text/plain", "multipart/form-data", "x"))
    }
    path = PATHS[0] if rng.random() < 0.8 else rng.choice(PATHS)
    return rng.choice((*("POST",) * 9, "GET")), path, {"content": data, "headers": headers}


FORM_FIELDS = (
    "model",
    "prompt",
    "system",
    "question",
    "max_tokens",
    "temperature",
    "top_p",
    "min_p",
    "top_k",
    "stream",
)
FORM_VALUES = (
    *("", "x", "tuned", "-1", "0", "1", "1e-320", "1e400", "nan", "inf", "true", "9" * 5_000, "\x1b[31m", "<image>"),
    *("<|im_end|>", "\0", "a" * 300_000, "{}", "[]"),
)
NAMES = ("a.png", "", "../../a", "a.eps", "\x1b[31m", "a" * 5_000, "a\nb")


def _chat(image: str, rng: random.Random) -> dict[str, Any]:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
    turns = [{"role": "user", "content": [picture, {"type": "text", "text": "Read this."}]}]
    if rng.random() < 0.3:
        turns = [{"role": "system", "content": "Read."}, *turns]
    options = {"max_tokens": 4, "temperature": 0.5, "top_p": 0.9, "n": 1, "stop": ["x"], "seed": 1, "stream": False}
    chosen = {name: value for name, value in options.items() if rng.random() < 0.5}
    return {"model": "tuned", "messages": turns, "max_tokens": 4, **chosen}
