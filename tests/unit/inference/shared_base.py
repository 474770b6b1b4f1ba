"""Runs of every kind on one base."""

from pathlib import Path

import httpx
import torch

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.unit.exporting.conftest import write_base
from tests.unit.serve.conftest import serving
from texlens.adapters.build import build_adapter, build_metadata, build_plan
from texlens.adapters.lora import load_adapter, save_adapter
from texlens.config.load import build_config, dump_config, load_config
from texlens.core.files import write_text
from texlens.core.run_folder import RunFolder
from texlens.data.sample import LazyImage, Sample
from texlens.inference.open import wrap_model
from texlens.inference.open_shared import open_shared
from texlens.inference.opening.source import resolve
from texlens.inference.scheduling.scheduler import open_scheduler
from texlens.models.build import build_base, build_model
from texlens.models.checkpoint import read_config
from texlens.models.processor import save_processor
from texlens.serve.settings import ServeSettings

IMAGE = drawn(120, 40)

SAMPLE = Sample("image", LazyImage.from_bytes(IMAGE, "image"), "")

ATTENTION = ["text-attention"]

MOE_LORA = {"kind": "moe-lora", "rank": 2, "targets": [*ATTENTION, "vision"]}

FULL = {"kind": "full", "targets": [*ATTENTION, "merger"]}

KINDS = {
    "lora": ("qwen2_5_vl", {"rank": 2}),
    "dora": ("qwen3_vl", {"rank": 2, "dora": True, "modules_to_save": ["embed_tokens"]}),
    "moe-lora": ("qwen3_vl", MOE_LORA),
    "full": ("qwen3_vl", FULL),
    "all": ("qwen2_vl", {"kind": "full", "targets": ["all"]}),
    "experts": ("qwen3_vl_moe", {"rank": 2, "targets": ATTENTION, "experts": "lora"}),
}


def made_run(folder: Path, name: str, family: str, adapter: dict, quantize: str = "none") -> RunFolder:
    """A finished run without training: its parameters are moved at random."""
    model_folder = folder / f"base-{family}-{quantize}"
    if not model_folder.is_dir():
        _ = (write_tiny_checkpoint if quantize == "none" else write_base)(model_folder, family)
    config = build_config(
        {
            "model": {"path": str(model_folder)},
            "data": {"path": "demo", "prompt": "Read this."},
            "adapter": adapter,
            "base": {"quantize": quantize},
            "evaluate": {"max_new_tokens": 6},
        }
    )
    base = build_base(config.model)
    plan = build_plan(config.adapter, base.processor.family, read_config(base.folder))
    model = build_model(base, config.model, config.base)
    adapted = build_adapter(model, plan, config.adapter, seed=0, base_path=config.model.path)
    generator = torch.Generator().manual_seed(len(name))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += torch.randn(parameter.shape, generator=generator) * 0.05
    run = RunFolder.create(folder / "runs", name)
    write_text(run.config, dump_config(config))
    save_adapter(adapted, run.adapter, build_metadata(config, base))
    save_processor(base.processor, run.adapter)
    return run


def read_directly(run: RunFolder) -> str:
    """With the model built by hand, without `open_model`."""
    config = load_config(run.config)
    base = build_base(config.model)
    model = load_adapter(build_model(base, config.model, config.base), run.adapter, fingerprint=base.fingerprint)
    loaded = wrap_model(model, base.processor, prompt=config.data.prompt, max_new_tokens=6)
    return loaded.read([SAMPLE])[0].text


def read_by_server(run: RunFolder) -> tuple[list[str], str]:
    with open_scheduler([str(run.path)]) as scheduler, serving(scheduler, ServeSettings()) as url:
        models = [model["id"] for model in httpx.get(f"{url}/v1/models", timeout=300).json()["data"]]
        answer = httpx.post(f"{url}/v1/read", files={"file": IMAGE}, data={"max_tokens": "6"}, timeout=300)
        assert answer.status_code == 200, answer.text
        return models, answer.json()["raw"]


def open_all(*names: object):
    return open_shared([resolve(str(name)) for name in names])
