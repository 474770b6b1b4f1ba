"""The account of a pack's memory, against a count of what is alive on the CPU and against peaks of an H200."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.memory_peak import MemoryPeak
from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.mixtures.quantized_stacks import KINDS, quantize_model
from texlens.adapters.expert_parameters import route_experts
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.loss.chunked import CHUNK, label_row_loss
from texlens.models.bundled import bundled_config
from texlens.models.families.expert_stacks import STACKS
from texlens.models.fp8 import quantize_in_fp8
from texlens.models.meta_model import build_config, meta_model
from texlens.models.packed.memory import (
    HEADROOM,
    PackChoice,
    PackOptions,
    backward_per_token,
    choose_pack,
    dora_bytes_per_token,
    expert_buffer_bytes,
    loss_bytes,
    padded_attention_bytes,
    peak_of_pack,
    relative_time,
    saved_per_token,
    smallest_pack,
    static_bytes,
    stored_bytes,
    weight_buffer_bytes,
)
from texlens.models.packed.text import PackedText
from texlens.planner.simulated_ops import QuantizedLinear, quantize

GIB = 2**30
LAYERS = r".*language_model\..*_proj$"


def text_config():
    config = bundled_config("Qwen3-VL-4B-Instruct")
    assert config is not None
    return build_config(config).text_config


class Mixed(torch.autograd.Function):
    """Stands for a GPU's attention: keeps its inputs, its output and a float32 a head."""

    @staticmethod
    def forward(ctx, query, key, value):
        attn_out = query + key.repeat_interleave(query.shape[1] // key.shape[1], 1)
        ctx.save_for_backward(query, key, value, attn_out, torch.zeros(query.shape[:2]))
        return attn_out

    @staticmethod
    def backward(ctx, grad):  # pyrefly: ignore[bad-override]
        query, key, value, *_ = ctx.saved_tensors
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("recompute", ["none", "mlp", "full"])
@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_layers_keep_what_is_planned_and_take_it_in_their_backward_kernels(family, recompute, dora, monkeypatch):
    """Beside what is planned: LoRA A outputs in 16 extra columns, cos and sin; and `only_here`, two temporaries of the
    activation that a GPU's kernel does without, the result, the first gradient, and extra columns of some tensors;
    with DoRA two tensors of the width in the layer that is recomputed."""
    monkeypatch.setattr("texlens.kernels.backends.TRITON_ENABLED", False)
    monkeypatch.setattr(
        "texlens.kernels.decoder_layer.attention_half.attend",
        lambda query, key, value, *_, **__: Mixed.apply(query, key, value),
    )
    model, _ = tiny_model(family)
    trained = get_peft_model(model, LoraConfig(r=1, use_dora=dora, target_modules=LAYERS, task_type="CAUSAL_LM"))
    text, config = model.model.language_model, model.config.text_config
    run, tokens = PackedText(text, recompute=recompute, backend="cpu"), 400
    where = make_segments(torch.tensor([0, tokens], dtype=torch.int32), tokens)
    x = torch.randn(tokens, config.hidden_size, requires_grad=True)
    positions, nothing = torch.zeros(3, tokens, dtype=torch.long), torch.tensor([], dtype=torch.long)
    with MemoryPeak() as floats:
        run(x, positions, where, nothing, []).sum().backward()
        trained.zero_grad()
        before = floats.live
        out = run(x, positions, where, nothing, [])
        saved = floats.live - before - out.nbytes
        floats.peak = floats.live
        out.backward(torch.ones_like(out))
    lora_a_out = 16 * {"none": 4, "mlp": 3, "full": 1}[recompute] * len(text.layers) + 2 * 8
    planned = saved_per_token(config, recompute, 4) * tokens - x.nbytes
    planned += dora_bytes_per_token(model)[recompute] * tokens
    assert saved == planned + lora_a_out * 4 * tokens
    extra_columns = 16 * {"none": 2, "mlp": 2, "full": 5}[recompute]
    recomputed = 2 * config.hidden_size if dora and recompute == "full" else 0
    only_here = 2 * config.intermediate_size + 2 * config.hidden_size + extra_columns + recomputed
    peak = saved + (backward_per_token(config, recompute, 4) + 4 * only_here) * tokens
    assert floats.peak - before == pytest.approx(peak, rel=0.06)


@pytest.mark.parametrize(("labels", "chunk"), [(600, CHUNK), (CHUNK, CHUNK), (2 * CHUNK + 600, CHUNK), (2600, 256)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_loss_takes_what_is_planned_for_it(labels, chunk, dtype):
    vocabulary = 512
    hidden = torch.randn(labels, 4, dtype=dtype, requires_grad=True)
    head = torch.randn(vocabulary, 4, dtype=dtype)
    with MemoryPeak() as floats:
        label_row_loss(hidden, head, torch.arange(labels) % vocabulary, chunk=chunk)
    planned = loss_bytes(labels, vocabulary, dtype.itemsize, chunk=chunk, in_place=False)
    gradient = labels * 4 * dtype.itemsize
    assert floats.peak == pytest.approx(planned + gradient, rel=0.02)


def test_the_kernel_of_the_loss_takes_no_more_than_its_logits():
    assert loss_bytes(5265, 151_936, 2) == 2048 * 151_936 * 2
    assert loss_bytes(5265, 151_936, 2, chunk=256) == 256 * 151_936 * 2
    assert loss_bytes(100, 151_936, 2, in_place=False) == 100 * 151_936 * 6


def test_the_fastest_pack_that_fits_is_chosen():
    rooms = (100, 20, 5, 2, 0.5)
    chosen = [choose_pack(text_config(), budget * GIB, PackOptions()) for budget in rooms]
    assert [(choice.tokens, choice.recompute) for choice in chosen if choice] == [
        (32_768, "none"),
        (6144, "none"),
        (1536, "none"),
        (4096, "full"),
        (1280, "full"),
    ]
    assert all(choice.nbytes <= budget * GIB for choice, budget in zip(chosen, rooms, strict=True) if choice)


@pytest.mark.parametrize(
    ("limit", "weights", "beside", "tokens"),
    [(4.6, 3.245, 0.093, 2048), (9.6, 8.266, 0.096, 1792)],
    ids=["nf4", "bf16"],
)
def test_little_memory_is_kept_by_small_packs_that_make_everything_again(limit, weights, beside, tokens):
    """GiB of Qwen3-VL-4B, in NF4 and in bf16, with adapters of 33.0 M numbers, which take 16 bytes each."""
    held = weights + 33.03e6 * 16 / GIB + beside + 0.0625
    choice = choose_pack(text_config(), (limit - held) * GIB, PackOptions())
    assert choice is not None
    assert (choice.tokens, choice.recompute) == (tokens, "full")
    assert limit - 0.2 < held + choice.nbytes / HEADROOM / GIB < limit


def test_what_is_set_is_kept_and_chunks_of_the_loss_give_way():
    options = PackOptions((2048,), ("full",))
    roomy, narrow = (choose_pack(text_config(), budget * GIB, options) for budget in (4, 0.75))
    assert roomy == PackChoice(2048, "full", 2048, roomy.nbytes)
    assert narrow == PackChoice(2048, "full", 1024, narrow.nbytes)
    assert choose_pack(text_config(), 0.65 * GIB, options) is None
    assert choose_pack(text_config(), 0.3 * GIB, PackOptions()) is None


def test_the_least_pack_is_the_smallest_with_everything_recomputed():
    least = smallest_pack(text_config(), PackOptions())
    assert (least.tokens, least.recompute, least.loss_chunk) == (1024, "full", 256)
    assert choose_pack(text_config(), least.nbytes, PackOptions()) is not None


def test_small_packs_are_slower_and_making_everything_again_is_slower_still():
    assert relative_time(16_384, "none") < relative_time(2048, "none") < relative_time(16_384, "full")
    assert relative_time(8192, "none") / relative_time(16_384, "none") == pytest.approx(1.0273, rel=1e-4)


def test_what_is_held_are_weights_as_stored_gradients_moments_and_copies():
    model, _ = tiny_model("qwen3_vl")
    numbers = sum(parameter.numel() for parameter in model.parameters())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert static_bytes(model) == stored_bytes(model) == 4 * numbers
    trained = get_peft_model(model, LoraConfig(r=1, target_modules=LAYERS, task_type="CAUSAL_LM"))
    adapters = sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad)
    with_adapters = 4 * (numbers + adapters) + (4 + 8) * adapters + round(1.55 * adapters * 4)
    assert static_bytes(model) == with_adapters
    assert static_bytes(model, optimizer="adamw-8bit") == with_adapters - 6 * adapters


def test_attention_on_a_cpu_keeps_padded_copies():
    config = text_config()  # 32 heads of 128, and 8 of keys and values; 36 layers
    per_layer = 1.35 * 4 * 2 * (4096 + 1024)
    assert padded_attention_bytes(config, "none") == round(36 * per_layer)
    assert padded_attention_bytes(config, "full") == round(per_layer)
    on_gpu = peak_of_pack(config, "none", 1000, 100, 4)
    assert peak_of_pack(config, "none", 1000, 100, 4, on_cpu=True) == on_gpu + 1000 * round(36 * per_layer)


def test_4_bit_weights_are_written_out_into_one_place():
    assert weight_buffer_bytes(text_config()) == 2 * 19_456 * 2560
    model, _ = tiny_model("qwen3_vl")
    before = static_bytes(model)
    model.lm_head.weight.quant_state = None
    assert static_bytes(model) == before + 4 * 32 * 96


@pytest.mark.parametrize("kind", KINDS)
def test_quantized_experts_are_stored_once_and_written_out_into_one_place(kind):
    model, _ = tiny_model("qwen3_vl_moe")
    model.requires_grad_(False)
    before = stored_bytes(model)
    stacks = [getattr(layer.mlp.experts, name) for layer in model.model.language_model.layers for name in STACKS]
    numbers, rows = sum(stack.numel() for stack in stacks), sum(stack[..., 0].numel() for stack in stacks)
    quantize_model(model, kind)
    blocks, table = numbers // 64, 4 * 16 * len(stacks)
    nested = blocks + 4 * (256 + 2) * len(stacks)  # 64 blocks of a stack at most: one group, and the offset
    stored = {"fp8": numbers + 4 * rows, "nf4": numbers // 2 + 4 * blocks + table}
    stored["nf4 with quantized scales"] = numbers // 2 + table + nested
    assert stored_bytes(model) == before - 4 * numbers + stored[kind]
    assert static_bytes(model) == stored_bytes(model) + expert_buffer_bytes(model.config.text_config, 4)
    trained = get_peft_model(model, LoraConfig(r=1, target_parameters=["mlp.experts.down_proj"], target_modules=[]))
    adapters = sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad)
    beside = static_bytes(model) - expert_buffer_bytes(model.config.text_config, 4) - stored_bytes(model)
    assert adapters == 2 * 4 * (16 + 32)
    assert beside == (4 + 8) * adapters  # gradients and moments: the copy of the adapters is in the buffer


def test_a_30b_mixture_fits_60_gib_in_fp8_and_21_in_nf4():
    config = bundled_config("Qwen3-VL-30B-A3B-Instruct")
    sizes = {}
    for kind in ("fp8", "nf4"):
        model = meta_model(config).bfloat16()
        quantize(model, kind, ("visual", "lm_head"))
        layers = [layer.weight for layer in model.modules() if isinstance(layer, QuantizedLinear)]
        sizes[kind] = (stored_bytes(model) + expert_buffer_bytes(model.config.text_config)) / GIB
        assert len(layers) == 48 * 4
    assert sizes == {"fp8": pytest.approx(31.69, abs=0.1), "nf4": pytest.approx(17.3, abs=0.1)}


def test_a_packed_weight_counts_with_its_scales():
    class Scales:
        absmax = torch.zeros(10, dtype=torch.uint8)
        nested = True

        class state2:  # noqa: N801
            absmax = torch.zeros(2)

    model = torch.nn.Linear(8, 4, bias=False)
    model.weight = torch.nn.Parameter(torch.zeros(16, 1, dtype=torch.uint8), requires_grad=False)
    model.weight.quant_state = Scales
    assert stored_bytes(model) == 16 + 10 + 8


def test_a_base_in_fp8_is_stored_both_ways():
    model, _ = tiny_model("qwen3_vl")
    before = stored_bytes(model)
    text = model.model.language_model.layers
    layers = [layer.weight for layer in text.modules() if isinstance(layer, torch.nn.Linear)]
    numbers, sides = sum(weight.numel() for weight in layers), sum(sum(weight.shape) for weight in layers)
    quantize_in_fp8(model)
    assert stored_bytes(model) == before - 4 * numbers + 2 * numbers + 4 * sides


def test_a_tower_in_fp8_is_stored_one_way():
    model, _ = tiny_model("qwen3_vl")
    before = stored_bytes(model)
    layers = [part.weight for part in model.model.visual.blocks.modules() if isinstance(part, torch.nn.Linear)]
    numbers, rows = sum(weight.numel() for weight in layers), sum(len(weight) for weight in layers)
    quantize_in_fp8(model)
    without = stored_bytes(model)
    model, _ = tiny_model("qwen3_vl")
    quantize_in_fp8(model, vision=True)
    assert without < before
    assert stored_bytes(model) == without - 4 * numbers + numbers + 4 * rows


def test_adapted_experts_are_no_layers_with_dora():
    model, _ = tiny_model("qwen3_5_moe")
    settings = {"target_modules": ["o_proj"], "target_parameters": ["mlp.experts.down_proj"], "use_dora": False}
    route_experts(get_peft_model(model, LoraConfig(r=1, task_type="CAUSAL_LM", **settings)))
    assert dora_bytes_per_token(model) == {"none": 0, "mlp": 0, "full": 0}
