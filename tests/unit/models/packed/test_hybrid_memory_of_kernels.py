"""What kernels of a delta net hold, compared with the plan of packs; on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import pytest
import torch
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5GatedDeltaNet

from tests.fixtures.memory_peak import MemoryPeak
from tests.unit.kernels.attention.branched import prefixes_of, tokens_of
from tests.unit.kernels.triton_here import DEVICE, skip_module_without_triton
from texlens.kernels.attention.segments import branched_segments, make_segments
from texlens.models.packed import hybrid_memory
from texlens.models.packed.mixers import DeltaNet

skip_module_without_triton()

SEPARATE, SHARED = [(256, [])], 2 * [(64, [64, 64, 64])]


def text_config() -> Qwen3_5TextConfig:
    return Qwen3_5TextConfig(
        hidden_size=32, intermediate_size=16, num_hidden_layers=1, layer_types=["linear_attention"],
        linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16,
    )  # fmt: skip


@pytest.mark.parametrize("rows", [SEPARATE, SHARED])
def test_a_delta_net_holds_and_needs_what_the_plan_counts(rows):
    config, tokens, none = text_config(), tokens_of(rows), torch.zeros(0, device=DEVICE)
    mixer = DeltaNet(Qwen3_5GatedDeltaNet(config, 0).to(DEVICE).requires_grad_(False))
    shares = rows is SHARED
    ends = torch.tensor([0, tokens], dtype=torch.int32, device=DEVICE)
    segments = branched_segments(prefixes_of(rows, DEVICE)) if shares else make_segments(ends, tokens)
    keys, values, heads = hybrid_memory.delta_net_widths(config)
    with MemoryPeak() as peak:
        y = torch.randn(tokens, 2 * keys + 2 * values + 2 * heads, device=DEVICE)
        fused = mixer.with_backward(y, none, none, segments, (0, 0))
        assert fused is not None
        result, backward = fused
        held = peak.live
        peak.peak = 0
        grad = torch.ones_like(result)
        backward(grad)
    of_layer = hybrid_memory.saved_by_kind(config, "mlp", 4)["linear_attention"] - 4 * 2 * config.hidden_size
    planned = of_layer + (hybrid_memory.saved_for_answers(config, 4) if shares else 0)
    assert held / tokens == pytest.approx(planned, rel=0.1)
    temporary = hybrid_memory.backward_per_token(config, 4) - 4 * config.hidden_size
    temporary += hybrid_memory.gathered_for_answers(config, 4) if shares else 0
    assert (peak.peak - held) / tokens == pytest.approx(temporary, rel=0.15)
