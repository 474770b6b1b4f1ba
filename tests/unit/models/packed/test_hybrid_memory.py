"""What hybrid layers save, compared with what autograd holds for gated attention, and sizes of published models."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.kernels.attention.segments import make_segments
from texlens.models.bundled import bundled_config
from texlens.models.meta_model import build_config
from texlens.models.packed import hybrid_memory
from texlens.models.packed.memory import PackOptions, backward_per_token, choose_pack, peak_of_pack
from texlens.models.packed.mixers import GatedAttention

TOKENS = 64


def text_config(name: str):
    return build_config(bundled_config(name)).text_config


def test_gated_attention_saves_what_autograd_holds():
    model, _ = tiny_model("qwen3_5")
    text = model.model.language_model.requires_grad_(False)
    config, attention = text.config, text.layers[1].self_attn
    cos, sin = text.rotary_emb(torch.zeros(1), torch.arange(TOKENS)[None, None].expand(3, 1, -1))
    width = 2 * config.num_attention_heads * config.head_dim + 2 * config.num_key_value_heads * config.head_dim
    y = torch.randn(TOKENS, width, requires_grad=True)
    held: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        mixed = GatedAttention(attention)(y, cos[0], sin[0], make_segments(torch.tensor([0, TOKENS]).int(), TOKENS))
    outside = [cos, sin, *attention.parameters()]
    for tensor in outside:
        held.pop(tensor.untyped_storage().data_ptr(), None)
    held |= {mixed.data_ptr(): mixed.nbytes, y.data_ptr(): y.nbytes}
    kinds = hybrid_memory.saved_by_kind(config, "mlp", itemsize=4, by_kernels=False)
    saved = kinds["full_attention"] - 4 * 2 * config.hidden_size
    assert sum(held.values()) / TOKENS == pytest.approx(saved, rel=0.35)


def test_a_delta_net_of_kernels_saves_the_states_before_its_chunks():
    kinds = hybrid_memory.saved_by_kind(text_config("Qwen3.5-4B"), "mlp")
    product, convolution, unit_keys, values = 12_352, 8_192, 4_096, 3 * 4_096
    states = 1.25 / 64 * (32 * 128 * 128 + 32 * 64 * 64)
    assert (
        kinds["linear_attention"] == round(2 * (product + convolution + unit_keys + values + states)) + 256 + 4 * 2560
    )
    assert kinds["full_attention"] == 2 * (10_240 + 5_120 + 2 * 4_096) + 64 + 4 * 2560


def test_answers_of_one_prompt_have_more_chunks():
    config = text_config("Qwen3.5-4B")
    states = 32 * 128 * 128 + 32 * 64 * 64
    saved, gathered = round(2 * 0.75 / 64 * states), 2 * (2 * 8192 + 4096)
    assert hybrid_memory.more_for_answers(config, "none") == 24 * saved + gathered
    assert hybrid_memory.more_for_answers(config, "full") == saved + gathered
    assert hybrid_memory.more_for_answers(text_config("Qwen3-VL-4B-Instruct"), "none") == 0


def test_the_backward_pass_of_a_delta_net_is_the_worst_moment_of_a_narrow_mlp():
    dense, mixture = text_config("Qwen3.5-4B"), text_config("Qwen3.5-35B-A3B")
    assert hybrid_memory.backward_per_token(dense) == 2 * (51_776 + 10_240)
    assert backward_per_token(dense, "none") == hybrid_memory.backward_per_token(dense)
    assert backward_per_token(mixture, "none") == hybrid_memory.backward_per_token(mixture)
    assert backward_per_token(text_config("Qwen3.5-27B"), "mlp") > hybrid_memory.backward_per_token(dense)


def test_a_delta_net_s_sizes_are_read_from_the_config():
    config = text_config("Qwen3.5-4B")
    assert hybrid_memory.delta_net_widths(config) == (2048, 4096, 32)
    assert hybrid_memory.first_product_width(config) == 2 * 2048 + 2 * 4096 + 64
    assert hybrid_memory.mlp_width(config) == 9216


def test_a_mixture_counts_the_experts_of_a_token():
    assert hybrid_memory.mlp_width(text_config("Qwen3.5-35B-A3B")) == 8 * 512 + 512


def test_recomputation_saves_less_and_every_size_fits_an_80_gib_gpu():
    config = text_config("Qwen3.5-4B")
    sizes = [peak_of_pack(config, recompute, 16_384, 4096) for recompute in ("none", "mlp", "full")]
    assert sizes == sorted(sizes, reverse=True)
    assert choose_pack(config, 60 * 2**30, PackOptions()) is not None


def test_plain_models_are_not_hybrid():
    assert hybrid_memory.is_hybrid(text_config("Qwen3.5-2B"))
    assert not hybrid_memory.is_hybrid(text_config("Qwen3-VL-4B-Instruct"))
