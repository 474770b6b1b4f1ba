"""Every launch of the kernels of Qwen3.5's layers compiles for a Hopper GPU, without one: COMPILE=1 and Triton.

Triton's interpreter runs what its compiler refuses. Launches are recorded with the real sizes of 4B, and compiled.
"""

import importlib.util
import os

import pytest
import torch
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5Attention, Qwen3_5GatedDeltaNet

from texlens.kernels.attention.segments import Segments
from texlens.models.packed.mixers import DeltaNet, GatedAttention

enabled = importlib.util.find_spec("triton") and os.environ.get("COMPILE") == "1"
if not enabled or os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("minutes of compilation: COMPILE=1, with Triton and without its interpreter", allow_module_level=True)

import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

from texlens.kernels.delta_net import triton as delta_net  # noqa: E402
from texlens.kernels.delta_rule import triton as delta_rule  # noqa: E402
from texlens.kernels.gated_attention import triton as gated_attention  # noqa: E402

HOPPER = GPUTarget("cuda", 90, 32)
TOKENS, ENDS = 200, [0, 70, 200]
NAMES = {torch.bfloat16: "bf16", torch.float32: "fp32", torch.int32: "i32", torch.int64: "i64"}
OPTIONS = ("num_warps", "num_stages", "maxnreg")
SHARED_BYTES = 227 * 1024
"""What a program may use on a Hopper GPU."""


@pytest.fixture
def launches(monkeypatch):
    """(kernel, arguments by name, options) of each launch, in place of running it."""
    recorded = []

    def record(kernel, *args, grid, warmup, **kwargs):
        options = {name: kwargs.pop(name) for name in OPTIONS if name in kwargs}
        recorded.append((kernel, {**dict(zip(kernel.arg_names, args, strict=False)), **kwargs}, options))

    monkeypatch.setattr(JITFunction, "run", record)
    return recorded


def compiled(kernel, arguments: dict, options: dict):
    signature, constants, attributes = {}, {}, {}
    for number, parameter in enumerate(kernel.params):
        value = arguments[parameter.name]
        if parameter.is_constexpr:
            signature[parameter.name], constants[number,] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[parameter.name] = f"*{NAMES[value.dtype]}"
            attributes[number,] = [["tt.divisibility", 16]]
        else:
            signature[parameter.name] = "fp32" if isinstance(value, float) else "i32"
    return triton.compile(ASTSource(kernel, signature, constants, attributes), target=HOPPER, options=options)


def compile_all(launches) -> set[str]:
    for kernel, arguments, options in launches:
        assert compiled(kernel, arguments, options).metadata.shared <= SHARED_BYTES, kernel.__name__
    return {kernel.__name__ for kernel, *_ in launches}


def config() -> Qwen3_5TextConfig:
    return Qwen3_5TextConfig(
        hidden_size=64, num_attention_heads=16, num_key_value_heads=4, head_dim=256, linear_num_key_heads=16,
        linear_num_value_heads=32, linear_key_head_dim=128, linear_value_head_dim=128, attention_bias=False,
    )  # fmt: skip


def segments() -> Segments:
    return Segments(torch.tensor(ENDS, dtype=torch.int32), 512)


@pytest.fixture(params=[torch.bfloat16, torch.float32], ids=["bf16", "float32"])
def dtype(request):
    if request.param == torch.float32 and os.environ.get("COMPILE_FLOAT32") != "1":
        pytest.skip("many minutes: COMPILE_FLOAT32=1")
    return request.param


def test_a_delta_net_compiles_forward_backward_and_step_by_step(launches, dtype):
    net = DeltaNet(Qwen3_5GatedDeltaNet(config(), 0).to(dtype).requires_grad_(False))
    y = torch.empty(TOKENS, sum(net.widths), dtype=dtype)
    bounds = segments().cu_seqlens, segments().offsets(TOKENS)
    result, backward = delta_net.delta_net(net.weights, y, *bounds)
    backward(torch.empty_like(result))
    _, states = delta_net.prompts(net.weights, y, *bounds)
    windows = torch.empty(3, net.widths[0], 3, dtype=dtype)
    delta_net.step(net.weights, y[:2], torch.zeros(2, dtype=torch.int64), windows, states)
    assert len(compile_all(launches)) >= 15


def test_the_rule_compiles_from_and_to_states(launches, dtype):
    net = DeltaNet(Qwen3_5GatedDeltaNet(config(), 0).to(dtype))
    query, key, value = (part.requires_grad_() for part in net.heads(torch.empty(TOKENS, net.widths[0], dtype=dtype)))
    rates = torch.empty(TOKENS, 32, requires_grad=True), torch.empty(TOKENS, 32, dtype=dtype, requires_grad=True)
    initial = torch.empty(2, 32, 128, 128, requires_grad=True)
    output, states = delta_rule.delta_rule(query, key, value, *rates, segments().cu_seqlens, initial_states=initial)
    torch.autograd.grad(output.float().sum() + states.sum(), [query, initial])
    assert {"states_kernel", "states_backward_kernel"} < compile_all(launches)


def test_gated_attention_compiles_forward_and_backward(launches, dtype):
    mixer = GatedAttention(Qwen3_5Attention(config(), 0).to(dtype).requires_grad_(False))
    heads = mixer.gated_heads
    y, cos, sin = torch.empty(TOKENS, heads.columns, dtype=dtype), torch.empty(TOKENS, 64), torch.empty(TOKENS, 64)
    result, backward = gated_attention.gated_attention(heads, y, cos, sin, segments())
    backward(torch.empty_like(result))
    assert len(compile_all(launches)) == 7


def variants(launches) -> set[str]:
    """What Triton compiles separately: constants, and whether sizes are 1 or multiples of 16."""
    forms = set()
    for kernel, arguments, options in launches:
        sizes = {}
        for parameter in kernel.params:
            value = arguments[parameter.name]
            if isinstance(value, torch.Tensor) or parameter.do_not_specialize:
                continue
            sizes[parameter.name] = value if parameter.is_constexpr else (value == 1, value % 16 == 0)
        forms.add(f"{kernel.__name__} {sizes} {options}")
    return forms


@pytest.mark.parametrize("tokens", [17, 203, 1024])
def test_prompts_of_another_number_of_tokens_and_rows_compile_nothing_again(launches, tokens):
    net = DeltaNet(Qwen3_5GatedDeltaNet(config(), 0).bfloat16().requires_grad_(False))
    mixer = GatedAttention(Qwen3_5Attention(config(), 0).bfloat16().requires_grad_(False))
    heads, before = mixer.gated_heads, set()
    for count, ends in ((TOKENS, ENDS), (tokens, [0, *range(1, tokens, 20), tokens])):
        bounds = Segments(torch.tensor(ends, dtype=torch.int32), 512)
        y, turns = torch.empty(count, heads.columns, dtype=torch.bfloat16), torch.empty(count, 64)
        delta_net.prompts(
            net.weights, torch.empty(count, sum(net.widths)).bfloat16(), bounds.cu_seqlens, bounds.offsets(count)
        )
        gated_attention.gated_attention(heads, y, turns, turns, bounds)
        before = before or variants(launches)
    assert variants(launches) == before
