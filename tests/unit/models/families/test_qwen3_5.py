"""Qwen3.5's own facts, compared with transformers' classes and with the sizes of published checkpoints."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.models.bundled import bundled_config
from texlens.models.families import FAMILIES
from texlens.models.families.qwen3_5 import QWEN3_5
from texlens.models.meta_model import build_config, count_parameters, meta_model

HYBRID = ["qwen3_5", "qwen3_5_moe"]
NINE_B_BYTES = 19_306_216_416
"""Of the tensors in the published checkpoint of the 9B model."""


@pytest.mark.parametrize("model_type", HYBRID)
def test_the_norms_and_the_doubled_query_are_those_of_the_class(model_type):
    model, _ = tiny_model(model_type)
    attention = model.model.language_model.layers[1].self_attn
    config = model.config.text_config
    assert FAMILIES[model_type].zero_centered_norms
    assert torch.equal(type(attention.q_norm)(8).weight, torch.zeros(8))
    assert attention.q_proj.out_features == 2 * config.num_attention_heads * config.head_dim


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen3.5-0.8B", 853_000_000),
        ("Qwen3.5-2B", 2_213_241_664),
        ("Qwen3.5-4B", 4_539_265_536),
        ("Qwen3.5-27B", 27_356_728_560),
        ("Qwen3.5-35B-A3B", 35_107_181_936),
    ],
)
def test_the_bundled_sizes_are_those_in_their_names(name, parameters):
    assert count_parameters(meta_model(bundled_config(name))) == pytest.approx(parameters, rel=1e-3)


def test_the_9b_configuration_accounts_for_every_byte_of_the_published_checkpoint():
    model = meta_model(bundled_config("Qwen3.5-9B"))
    config = model.config.text_config
    width, inner = config.hidden_size, config.intermediate_size
    layer = model.model.language_model.layers[3]
    further = sum(part.numel() for part in layer.parameters()) + 2 * width * width + 3 * width  # mtp.*
    assert inner == layer.mlp.gate_proj.out_features
    in_float32 = sum(
        p.numel() for name, p in model.named_parameters() if name.endswith(("A_log", "linear_attn.norm.weight"))
    )
    assert 2 * (count_parameters(model) + further + in_float32) == NINE_B_BYTES


def test_later_releases_share_the_sizes():
    assert bundled_config("Qwen3.6-27B") == bundled_config("Qwen3.8-27B") == bundled_config("Qwen3.5-27B")
    assert bundled_config("Qwen3.6-35B-A3B") == bundled_config("Qwen3.5-35B-A3B")


def test_gguf_names_and_values_of_a_delta_net_are_those_of_llama_cpp():
    """Two key heads with two value heads each, of width 1: grouped (0 1 | 2 3) becomes tiled (0 2 1 3)."""
    text = build_config(bundled_config("Qwen3.5-4B")).text_config
    text.linear_num_key_heads, text.linear_num_value_heads = 2, 4
    text.linear_key_head_dim, text.linear_value_head_dim = 1, 1

    def stored(part: str, tensor: torch.Tensor) -> tuple[str, list]:
        name, change = QWEN3_5.gguf.text_tensor(f"model.layers.0.linear_attn.{part}", text)
        return name.rpartition("linear_attn.")[2], change(tensor).tolist()

    four, eight = torch.arange(4.0), torch.arange(8.0)[:, None]
    assert stored("in_proj_z.weight", four[:, None]) == ("in_proj_z.weight", [[0], [2], [1], [3]])
    assert stored("in_proj_a.weight", four[:, None]) == ("in_proj_a.weight", [[0], [2], [1], [3]])
    assert stored("in_proj_qkv.weight", eight) == ("in_proj_qkv.weight", [[0], [1], [2], [3], [4], [6], [5], [7]])
    assert stored("dt_bias", four) == ("dt_proj.bias", [0, 2, 1, 3])
    assert stored("out_proj.weight", four[None]) == ("out_proj.weight", [[0, 2, 1, 3]])
    assert stored("conv1d.weight", eight[:, None]) == ("conv1d.weight", [[0], [1], [2], [3], [4], [6], [5], [7]])
    assert stored("A_log", torch.zeros(4)) == ("A_log", [-1, -1, -1, -1])
    assert QWEN3_5.gguf.text_tensor("model.layers.0.linear_attn.norm.weight", text)[1] is None


def test_gguf_norms_carry_their_one():
    _, change = QWEN3_5.gguf.text_tensor("model.layers.0.input_layernorm.weight", None)
    assert change(torch.zeros(2)).tolist() == [1, 1]
    name = "model.layers.0.mlp.up_proj.weight"
    assert QWEN3_5.gguf.text_tensor(name, None) == (name, None)
