"""A server on a tiny random Qwen3-VL and an adapter of it, on a real port."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import torch
from openai import OpenAI
from peft import LoraConfig, get_peft_model

from tests.fixtures.drawn_images import drawn
from tests.fixtures.running_server import running
from tests.fixtures.tiny_models import tiny_model
from texlens.inference.batching import Engine
from texlens.inference.confidence import Calibration
from texlens.inference.open import FIRST_ADAPTER, ServedModel
from texlens.serve.app import create_app
from texlens.serve.settings import ServeSettings

IMAGE = drawn(120, 40)
LIMIT = 12


def tiny_engine(**settings) -> Engine:
    """`tuned` is an adapter with weights of its own on `base`; texts of at most `LIMIT` tokens."""
    model, processor = tiny_model()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], r=4, init_lora_weights=False))
    calibration = Calibration(2.0, 0.2, 0.1, 50, 25, "rows")
    served = [
        ServedModel("tuned", processor, "Read this.", None, LIMIT, calibration, FIRST_ADAPTER, "base"),
        ServedModel("base", processor, "Read this.", None, LIMIT),
    ]
    return Engine(adapted, {one.name: one for one in served}, **settings)


@contextmanager
def serving(engine: Engine, settings: ServeSettings) -> Iterator[str]:
    """The address of a server in a thread of this process."""
    with running(create_app(engine, settings)) as address:
        yield address


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with tiny_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def url(engine) -> Iterator[str]:
    settings = ServeSettings(max_body_bytes=2_000_000, max_image_pixels=1_000_000, max_tokens=3_500, body_timeout_s=2)
    with serving(engine, settings) as address:
        yield address


@pytest.fixture
def http(url) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=300) as client:
        yield client


@pytest.fixture
def client(url) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", timeout=300, max_retries=0)


def data_uri(image: bytes = IMAGE) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def asked(image: str | None = None, text: str = "Read this.") -> list[dict]:
    picture = {"type": "image_url", "image_url": {"url": image or data_uri()}}
    return [{"role": "user", "content": [picture, {"type": "text", "text": text}]}]
