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
from tests.unit.serve.decoders import decoder
from texlens.inference.adapter_switch import FIRST_ADAPTER, AdapterSwitch
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.confidence import Calibration
from texlens.inference.model import LoadedModel
from texlens.inference.scheduling.scheduler import RequestScheduler
from texlens.inputs.chat_template import PromptStyle
from texlens.serve.app import create_app
from texlens.serve.settings import ServeSettings

IMAGE = drawn(120, 40)
LIMIT = 12


def tiny_scheduler(**settings) -> RequestScheduler:
    """`tuned` is an adapter with weights of its own on `base`; texts of at most `LIMIT` tokens."""
    model, processor = tiny_model()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], r=4, init_lora_weights=False))
    calibration = Calibration(2.0, 0.2, 0.1, 50, 25, "rows")
    switch, style = AdapterSwitch(adapted), PromptStyle("Read this.")
    tuned = TransformersBackend(switch, processor, FIRST_ADAPTER)
    base = TransformersBackend(switch, processor, None)
    models = {
        "tuned": LoadedModel("tuned", tuned, style, LIMIT, calibration, "base"),
        "base": LoadedModel("base", base, style, LIMIT),
    }
    return RequestScheduler(models, **settings)


@contextmanager
def serving(scheduler: RequestScheduler, settings: ServeSettings) -> Iterator[str]:
    """The address of a server in a thread of this process."""
    with running(create_app(scheduler, settings)) as address:
        yield address


@pytest.fixture(scope="module")
def scheduler() -> Iterator[RequestScheduler]:
    with tiny_scheduler() as scheduler:
        yield scheduler


@pytest.fixture(scope="module")
def url(scheduler) -> Iterator[str]:
    settings = ServeSettings(max_body_bytes=2_000_000, max_image_pixels=1_000_000, max_tokens=3_500, body_timeout_s=2)
    with serving(scheduler, settings) as address:
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


def messages(image: str | None = None, text: str = "Read this.") -> list[dict]:
    picture = {"type": "image_url", "image_url": {"url": image or data_uri()}}
    return [{"role": "user", "content": [picture, {"type": "text", "text": text}]}]


def read(http, image=IMAGE, **more):
    return http.post("/v1/read", files={"file": image}, data={"max_tokens": "1"}, **more)


@pytest.fixture(scope="module")
def images():
    decoder_ = decoder()
    yield decoder_
    decoder_.close()
