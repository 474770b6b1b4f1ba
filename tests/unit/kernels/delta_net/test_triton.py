"""A delta net by kernels compared with the mixer under autograd; on a GPU, or with TRITON_INTERPRET=1 anywhere."""

from itertools import pairwise

import pytest
import torch
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5GatedDeltaNet

from tests.unit.kernels.triton_here import DEVICE, skip_module_without_triton
from texlens.kernels import backends
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.delta_net import api
from texlens.models.packed.mixers import DeltaNet

skip_module_without_triton()

from texlens.kernels.delta_net import triton as kernels  # noqa: E402

ENDS = [0, 2, 3, 73]
KEYS, VALUES, WIDTH_X, WIDTH_Y = 2, 4, 16, 24


@pytest.fixture
def mixer() -> DeltaNet:
    torch.manual_seed(0)
    config = Qwen3_5TextConfig(
        hidden_size=32, linear_num_key_heads=KEYS, linear_num_value_heads=VALUES, linear_key_head_dim=WIDTH_X,
        linear_value_head_dim=WIDTH_Y, linear_conv_kernel_dim=4,
    )  # fmt: skip
    net = Qwen3_5GatedDeltaNet(config, 0).to(DEVICE).requires_grad_(False)
    for part in (net.dt_bias, net.norm.weight, net.conv1d.weight):
        torch.nn.init.normal_(part, 0.5, 0.5)
    return DeltaNet(net)


def inputs(tokens: int = ENDS[-1]) -> torch.Tensor:
    width = 2 * KEYS * WIDTH_X + 2 * VALUES * WIDTH_Y + 2 * VALUES
    generator = torch.Generator().manual_seed(1)
    return torch.randn(tokens, width, generator=generator).to(DEVICE)


def strided(x: torch.Tensor) -> torch.Tensor:
    """The left part of a wider tensor, as products with extra columns are."""
    return torch.nn.functional.pad(x, (0, 8))[:, :-8]


def segments(ends=ENDS):
    longest = max(end - start for start, end in pairwise(ends))
    return make_segments(torch.tensor(ends, dtype=torch.int32, device=DEVICE), longest)


def reference(mixer: DeltaNet, y: torch.Tensor, bounds, monkeypatch) -> torch.Tensor:
    with monkeypatch.context() as patch:
        patch.setattr(backends, "TRITON_ENABLED", False)
        none = torch.zeros(0, device=DEVICE)
        return mixer(y, none, none, bounds)


def test_the_result_and_the_gradient_of_every_column_equal_those_of_autograd(mixer, monkeypatch):
    y = inputs().requires_grad_()
    expected = reference(mixer, y, segments(), monkeypatch)
    grad = torch.linspace(-1, 1, expected.numel(), device=DEVICE).view_as(expected)
    (expected_grad,) = torch.autograd.grad(expected, y, grad)
    none = torch.zeros(0, device=DEVICE)
    fused = mixer.with_backward(strided(inputs()), none, none, segments(), (8, 16))
    assert fused is not None
    result, backward = fused
    assert (result[:, :-8] - expected).abs().max() < 1e-5 * expected.abs().max()
    actual = backward(strided(grad))
    assert actual.shape == (len(y), y.shape[1] + 16)
    assert (actual[:, :-16] - expected_grad).abs().max() < 1e-5 * expected_grad.abs().max()


def test_prompts_that_go_on_step_by_step_equal_longer_segments(mixer, monkeypatch):
    lengths, steps = [2, 70, 1], 3
    rows = [inputs(length + steps) for length in lengths]
    expected = [reference(mixer, row, segments([0, len(row)]), monkeypatch) for row in rows]
    y = torch.cat([row[:length] for row, length in zip(rows, lengths, strict=True)])
    ends = [0, 2, 72, 73]
    result, states = kernels.prompts(mixer.weights, y, segments(ends).cu_seqlens, segments(ends).offsets(len(y)))
    for (start, end), row in zip(pairwise(ends), expected, strict=True):
        torch.testing.assert_close(result[start:end], row[: end - start], atol=1e-5, rtol=1e-4)
    slots = torch.tensor([3, 0, 2], device=DEVICE)
    windows_SCW, states_SHXY = torch.full((5, mixer.widths[0], 3), 7.0), torch.full((5, *states.shape[1:]), 7.0)
    windows_SCW, states_SHXY = windows_SCW.to(DEVICE), states_SHXY.to(DEVICE)
    for slot, row, length, state in zip(slots.tolist(), rows, lengths, states, strict=True):
        window = torch.nn.functional.pad(row[:length, : mixer.widths[0]].T, (3, 0))[:, -3:]
        windows_SCW[slot], states_SHXY[slot] = window, state
    for step in range(steps):
        token = torch.stack([row[length + step] for row, length in zip(rows, lengths, strict=True)])
        output = kernels.step(mixer.weights, token, slots, windows_SCW, states_SHXY)
        expected_rows = torch.stack([row[length + step] for row, length in zip(expected, lengths, strict=True)])
        torch.testing.assert_close(output, expected_rows, atol=1e-5, rtol=1e-4)
    assert (states_SHXY[[1, 4]] == 7).all()
    assert (windows_SCW[[1, 4]] == 7).all()


def test_a_neighbor_of_nan_changes_neither_results_nor_gradients(mixer):
    others = torch.cat([torch.arange(2), torch.arange(3, 73)]).to(DEVICE)
    outcomes = []
    for value in (1.0, torch.nan):
        y = inputs()
        y[2] = value
        bounds = segments()
        result, backward = kernels.delta_net(mixer.weights, y, bounds.cu_seqlens, bounds.offsets(len(y)))
        outcomes.append((result[others], backward(torch.ones_like(result))[others]))
    for clean, poisoned in zip(*outcomes, strict=True):
        assert torch.equal(clean, poisoned)


def test_the_kernels_follow_the_protocol_and_run_where_triton_does(monkeypatch):
    assert isinstance(kernels, api.DeltaNetKernels)
    assert api.delta_net_kernels(torch.device(DEVICE)) is kernels
    monkeypatch.setattr(backends, "TRITON_ENABLED", False)
    assert api.delta_net_kernels(torch.device(DEVICE)) is None
