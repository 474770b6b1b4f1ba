"""CUDA graphs of packs give the losses and gradients of packs without, in the kernels that a GPU runs."""

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.mixtures.quantized_stacks import quantize_model
from tests.unit.models.packed.packs import ROWS, examples
from texlens.adapters.expert_parameters import route_experts
from texlens.adapters.moe_lora.config import MoeLoraConfig
from texlens.adapters.moe_lora.model import balance_of
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import PackBucket, build_pack
from texlens.models.families import FAMILIES
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.pack_graphs import PackGraphs
from texlens.training.backends.packed_step import packed_step
from texlens.training.distributed.context import SINGLE_PROCESS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
KINDS = {
    "dora": ("qwen3_vl", {"use_dora": True}),
    "moe-lora with dropout": ("qwen2_vl", {"experts": 2, "lora_dropout": 0.2, "balance": 0.1}),
    "lora": ("qwen3_vl", {}),
    "dropout": ("qwen2_vl", {"lora_dropout": 0.2}),
    "tower": ("qwen2_5_vl", {"groups": ("vision", "merger", "text-attention")}),
    "tower of Qwen3": ("qwen3_vl", {"groups": ("vision", "merger", "text-attention"), "lora_dropout": 0.2}),
    "mixture": ("qwen3_vl_moe", {}),
    "experts": ("qwen3_vl_moe", {"target_parameters": EXPERTS}),
    "mixture in fp8": ("qwen3_vl_moe", {"stacks": "fp8"}),
    "experts in nf4": ("qwen3_vl_moe", {"target_parameters": EXPERTS, "stacks": "nf4"}),
    "moe-lora": ("qwen3_vl", {"experts": 2, "balance": 0.1}),
    "delta nets": ("qwen3_5", {}),
    "mixture of delta nets": ("qwen3_5_moe", {"target_parameters": EXPERTS, "stacks": "fp8"}),
}


def adapted_on_gpu(family, groups=("text-attention", "text-mlp"), stacks=None, **options):
    model, processor = tiny_model(family)
    if stacks is not None:
        quantize_model(model, stacks)
    model = model.to("cuda", torch.bfloat16)
    pattern = "|".join(f"({FAMILIES[family].groups[group]})" for group in groups if group in FAMILIES[family].groups)
    settings = {"r": 8, "lora_alpha": 8, "target_modules": pattern, "task_type": "CAUSAL_LM", **options}
    torch.manual_seed(0)
    trained = get_peft_model(model, (MoeLoraConfig if "experts" in options else LoraConfig)(**settings))
    route_experts(trained)
    for name, parameter in trained.named_parameters():
        if "lora_" in name and "_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return trained.train(), processor


def packs_of(model, processor):
    spec = replace(pack_spec(model.config, processor, padded=True), bucket=PackBucket())
    raw = examples(processor, patchify=image_to_raw_patches)
    packs = [build_pack(raw[:3], spec), build_pack(raw[2::-1], spec)]
    assert len(ROWS) > 2
    return [
        {name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in pack.items()}
        for pack in packs
    ]


def steps(trained, forward, packs, graphs, seed=1):
    parameters = [part for part in trained.parameters() if part.requires_grad]
    balance, results = balance_of(trained), []
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    torch.manual_seed(seed)
    for _ in range(3):
        labels = sum(pack["label_count"] for pack in packs)
        outcome = packed_step(forward, packs, labels, parameters, SINGLE_PROCESS, balance=balance, graphs=graphs)
        grads = torch.cat([part.grad.flatten().float() for part in parameters if part.grad is not None])
        results.append((outcome.loss.clone(), grads))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return results, balance.log.pop_utilization() if balance else {}


@pytest.mark.parametrize("kind", KINDS)
def test_replayed_steps_equal_steps_without_graphs(kind):
    family, options = KINDS[kind]
    runs = []
    for with_graphs in (False, True):
        trained, processor = adapted_on_gpu(family, **options)
        model = trained.base_model.model
        forward = packed_forward(model, processor.geometry, backend="triton")
        assert (forward.text.unfused, forward.vision.unfused) == ({}, {})
        lines = []
        graphs = PackGraphs(forward, warn=lines.append) if with_graphs else None
        runs.append(steps(trained, forward, packs_of(model, processor), graphs))
        assert lines == []
    assert len(graphs) == 1
    (expected, use), (results, replayed_use) = runs
    for (loss, grads), (replayed_loss, replayed) in zip(expected, results, strict=True):
        torch.testing.assert_close(replayed_loss, loss, rtol=2e-3, atol=0)
        assert (replayed - grads).norm() / grads.norm() < 0.02
    assert use.keys() == replayed_use.keys()
    assert all(replayed_use[name] == pytest.approx(use[name], abs=5e-3) for name in use)


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_in_16_bits_are_near_modules_in_32(kind):
    family, options = KINDS[kind]
    options = {name: value for name, value in options.items() if name != "lora_dropout"}
    trained, processor = adapted_on_gpu(family, **options)
    inner = trained.base_model.model
    pack = packs_of(inner, processor)[0]
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.copy_(parameter.bfloat16())  # adapters of 16-bit values, so that both see the same numbers
    grads = []
    for backend in ("triton", "modules"):
        if backend == "modules":
            trained, processor = adapted_on_gpu(family, **options)
            inner = trained.base_model.model
            with torch.no_grad():
                for parameter in trained.parameters():
                    parameter.copy_(parameter.bfloat16())
            trained.float()
        forward = packed_forward(
            inner,
            processor.geometry,
            backend="triton" if backend == "triton" else "reference",
            fused=backend == "triton",
        )
        torch.manual_seed(3)
        loss = forward.loss(pack) / 7
        loss.backward()
        grads.append(
            (loss.detach(), torch.cat([p.grad.flatten().float() for p in trained.parameters() if p.grad is not None]))
        )
    (loss, kernels), (expected_loss, expected) = grads
    torch.testing.assert_close(loss, expected_loss, rtol=0.03, atol=0)
    assert (kernels - expected).norm() / expected.norm() < 0.15
