"""A finished run on a tiny base, written without training: random factors, the demo's rows."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from peft import LoraConfig, get_peft_model
from rich.console import Console
from safetensors.torch import load_file, save_file

from tests.fixtures.tiny_models import tiny_config, tiny_processor
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import build_config, dump_config
from texlens.core.files import write_json, write_text
from texlens.core.run_folder import RunFolder
from texlens.models.checkpoint import fingerprint
from texlens.models.load import load_model, random_model
from texlens.models.metadata import METADATA_FILE
from texlens.models.processor import save_processor

LAYERS = r".*(q_proj|v_proj|down_proj|up_proj)"


def wide_config(family: str) -> dict:
    """The family's tiny config with layers of 64 and 128 inputs, which quantizers ask for."""
    config = tiny_config(family)
    text = config.get("text_config", config)
    text.update(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2)
    if "head_dim" in text:
        text.update(head_dim=16, num_hidden_layers=3)
    if "layer_types" in text:
        text.update(head_dim=32, num_hidden_layers=2)
    else:
        text["rope_scaling"] = {**text["rope_scaling"], "mrope_section": [4, 2, 2]}
    config["vision_config"]["hidden_size" if family == "qwen2_vl" else "out_hidden_size"] = 64
    return config


def write_base(folder: Path, family: str, *, shards: bool = False) -> Path:
    """A checkpoint in the layout of the hub's."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in _base_files(family, shards).items():
        (folder / name).write_bytes(data)
    return folder


@cache
def _base_files(family: str, shards: bool) -> dict[str, bytes]:
    with TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        _write_base(Path(folder), family, shards)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _write_base(folder: Path, family: str, shards: bool) -> None:
    torch.manual_seed(0)
    model = random_model(wide_config(family))
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder, max_shard_size="100KB" if shards else "1GB")
    write_json(folder / "config.json", wide_config(family))
    hybrid = "layer_types" in wide_config(family).get("text_config", {})
    if hybrid:
        _save_hybrid(model, folder)
    for path in [] if hybrid else folder.glob("*.safetensors"):
        save_file(
            {name: _as_on_the_hub(name, tensor) for name, tensor in load_file(path).items()}, path, {"format": "pt"}
        )
    save_processor(tiny_processor(family), folder)


def _save_hybrid(model: torch.nn.Module, folder: Path) -> None:
    """Experts stacked as in the model, and the layers for further tokens, which transformers does not load."""
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    tensors |= {"mtp.fc.weight": torch.arange(8.0).view(2, 4), "mtp.norm.weight": torch.ones(4, dtype=torch.bfloat16)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _as_on_the_hub(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The hub stores experts as [experts, inputs, outputs]; transformers 5 saves [experts, outputs, inputs]."""
    return tensor.transpose(1, 2).contiguous() if ".experts." in name else tensor


def write_run(root: Path, family: str = "qwen3_vl", *, shards: bool = False, size: float = 0.02) -> RunFolder:
    """A run folder with an adapter on a base; `size` is the standard deviation of what is added to fresh factors."""
    base = write_base(root / "base", family, shards=shards)
    config = build_config(
        {
            "model": {"path": str(base)},
            "data": {"path": "demo"},
            "evaluate": {"max_new_tokens": 4, "batch_size": 4},
        }
    )
    run = RunFolder.create(root / "runs", "tiny")
    write_text(run.config, dump_config(config))
    torch.manual_seed(1)
    model = get_peft_model(load_model(base), LoraConfig(r=4, lora_alpha=8, target_modules=LAYERS))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += size * torch.randn_like(parameter)
    model.save_pretrained(run.adapter, save_embedding_layers=False)
    geometry = tiny_processor(family).geometry
    metadata = AdapterMetadata(
        base=str(base),
        base_fingerprint=fingerprint(base),
        family=family,
        min_pixels=geometry.min_pixels,
        max_pixels=geometry.max_pixels,
        prompt=config.data.prompt,
        system_prompt=None,
        max_new_tokens=4,
    )
    write_json(run.adapter / METADATA_FILE, metadata.to_json())
    return run


@pytest.fixture
def quiet() -> Console:
    return Console(quiet=True)
