"""Our merge against PEFT's own, and against the adapter where PEFT's merge is not what the adapter says."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tests.fixtures.tiny_models import FAMILY_NAMES, write_tiny_checkpoint
from texlens.adapters.merge import Merge, named_shapes
from texlens.core.errors import ExportError, ModelError
from texlens.exporting.merged import write_merged
from texlens.models.checkpoint import read_config
from texlens.models.load import load_model
from texlens.models.meta_model import meta_model

EVERYWHERE = r".*(q_proj|v_proj|down_proj|qkv|linear_fc1|fc1|gate_proj)"
KINDS = {
    "lora": {"target_modules": EVERYWHERE},
    "rslora": {"target_modules": EVERYWHERE, "use_rslora": True},
    "dora": {"target_modules": EVERYWHERE, "use_dora": True},
    "patterns": {
        "target_modules": EVERYWHERE,
        "rank_pattern": {r"model\.visual\..*": 2},
        "alpha_pattern": {r"model\.visual\..*": 3},
    },
    "head trained whole": {"target_modules": EVERYWHERE, "modules_to_save": ["lm_head"]},
    "orthogonal": {"target_modules": EVERYWHERE, "init_lora_weights": "orthogonal"},
}
EXPERTS = {
    "target_modules": ["q_proj"],
    "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
}


def adapted(tmp_path: Path, family: str, **settings):
    """A tiny base, an adapter on it with drawn weights, both saved, and the adapted model."""
    base = write_tiny_checkpoint(tmp_path / "base", family)
    torch.manual_seed(1)
    model = get_peft_model(load_model(base), LoraConfig(r=4, lora_alpha=8, **settings))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    (tmp_path / "merged").mkdir()
    return base, tmp_path / "adapter", tmp_path / "merged", model


def weights(model):
    return dict(model.named_parameters(remove_duplicate=False))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_merged_checkpoint_is_what_peft_merges(tmp_path, family, kind):
    base, adapter, folder, model = adapted(tmp_path, family, **KINDS[kind])
    changed = write_merged(base, adapter, folder)
    reference, merged = weights(model.merge_and_unload()), weights(load_model(folder))
    assert reference.keys() == merged.keys()
    for name, weight in reference.items():
        torch.testing.assert_close(merged[name], weight, rtol=0, atol=1e-6, msg=name)
    before = weights(load_model(base))
    assert sorted(name for name in before if not torch.equal(before[name], merged[name])) == sorted(changed)


def test_stacked_experts_are_merged_one_at_a_time(tmp_path):
    base, adapter, folder, model = adapted(tmp_path, "qwen3_vl_moe", **EXPERTS)
    changed = write_merged(base, adapter, folder)
    assert sum("experts" in name for name in changed) == 4
    reference, merged = weights(model.merge_and_unload()), weights(load_model(folder))
    for name, weight in reference.items():
        torch.testing.assert_close(merged[name], weight, rtol=0, atol=1e-6, msg=name)


def test_expert_parameter_stored_transposed_is_merged_transposed(tmp_path):
    base, adapter, folder, model = adapted(tmp_path, "qwen3_vl_moe", **EXPERTS)
    tensors = load_file(base / "model.safetensors")
    name = "model.language_model.layers.0.mlp.experts.down_proj"
    tensors[name] = tensors[name].transpose(1, 2).contiguous()
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    write_merged(base, adapter, folder)
    stored = load_file(folder / "model.safetensors")[name]
    assert stored.shape == tensors[name].shape
    torch.testing.assert_close(stored.transpose(1, 2), weights(model.merge_and_unload())[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("layer", ["lm_head", "embed_tokens"])
def test_a_tied_head_is_untied_where_the_adapter_moves_one_of_the_two(tmp_path, layer):
    base, adapter, folder, model = adapted(tmp_path, "qwen2_vl", target_modules=["q_proj", layer])
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected = model(input_ids=ids).logits
    write_merged(base, adapter, folder)
    assert read_config(folder)["tie_word_embeddings"] is False
    with torch.no_grad():
        torch.testing.assert_close(load_model(folder)(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)


def test_bf16_weights_are_rounded_once_from_float32(tmp_path):
    base, adapter, folder, _ = adapted(tmp_path, "qwen3_vl", target_modules=["q_proj"])
    name = "model.language_model.layers.0.self_attn.q_proj"
    tensors = {key: part.bfloat16() for key, part in load_file(base / "model.safetensors").items()}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    write_merged(base, adapter, folder)
    factors = load_file(adapter / "adapter_model.safetensors")
    a, b = (factors[f"base_model.model.{name}.lora_{factor}.weight"] for factor in "AB")
    expected = (tensors[f"{name}.weight"].float() + 2.0 * (b @ a)).bfloat16()
    assert torch.equal(load_file(folder / "model.safetensors")[f"{name}.weight"], expected)


def changed_settings(adapter: Path, **settings) -> Path:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return adapter


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init_lora_weights": "pissa_niter_4"}, "subtracted its factors from the base"),
        ({"init_lora_weights": "loftq"}, "subtracted its factors from the base"),
        ({"peft_type": "MOE_LORA"}, "router"),
        ({"peft_type": "VERA"}, "VERA adapter can't be merged"),
        ({"bias": "all"}, "trained biases"),
        ({"lora_bias": True}, "lora_bias"),
    ],
)
def test_adapter_that_is_no_sum_of_base_and_update_is_refused(tmp_path, settings, message):
    base, adapter, folder, _ = adapted(tmp_path, "qwen3_vl", target_modules=["q_proj"])
    with pytest.raises(ModelError, match=message):
        write_merged(base, changed_settings(adapter, **settings), folder)
    assert not list(folder.iterdir())


def test_an_adapter_of_another_family_is_refused_by_the_key_that_does_not_fit(tmp_path):
    _, adapter, _, _ = adapted(tmp_path, "qwen2_vl", target_modules=["fc1"])
    other = named_shapes(meta_model(read_config(write_tiny_checkpoint(tmp_path / "other", "qwen3_vl"))))
    with pytest.raises(ModelError, match=r"mlp\.fc1.* belongs to no parameter of this base"):
        Merge(adapter, other)


def test_factors_of_another_width_are_refused(tmp_path):
    base, adapter, folder, _ = adapted(tmp_path, "qwen3_vl", target_modules=["q_proj"])
    path = adapter / "adapter_model.safetensors"
    save_file({key: torch.zeros(4, 48) if "lora_A" in key else part for key, part in load_file(path).items()}, path)
    with pytest.raises(ModelError, match=r"q_proj\.weight is \[32, 48\] where the base has \[32, 32\]"):
        write_merged(base, adapter, folder)


def test_half_of_an_update_is_refused(tmp_path):
    base, adapter, folder, _ = adapted(tmp_path, "qwen3_vl", target_modules=["q_proj"])
    path = adapter / "adapter_model.safetensors"
    save_file({key: part for key, part in load_file(path).items() if "lora_B" not in key}, path)
    with pytest.raises(ModelError, match="has no factor b"):
        write_merged(base, adapter, folder)


def test_a_base_that_is_quantized_already_is_refused(tmp_path):
    base, adapter, folder, _ = adapted(tmp_path, "qwen3_vl", target_modules=["q_proj"])
    config = read_config(base) | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportError, match=r"bitsandbytes.*merge into the unquantized checkpoint"):
        write_merged(base, adapter, folder)


def test_a_pickle_is_refused(tmp_path):
    base, adapter, folder, _ = adapted(tmp_path, "qwen3_vl", target_modules=["q_proj"])
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match="pickle"):
        write_merged(base, adapter, folder)
