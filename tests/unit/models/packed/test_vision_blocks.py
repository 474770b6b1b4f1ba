"""Fused vision blocks and mergers give the loss and gradients of the stock model with PEFT."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import gradients, pack_of, stock_loss, with_triton, worst
from texlens.kernels.dropout.mask import LoraDropout, RowsMask
from texlens.models.families import FAMILIES
from texlens.models.packed.forward import packed_forward
from texlens.models.packed.vision_blocks import FusedMerger

BACKENDS = ["cpu", pytest.param("triton", marks=with_triton)]


def adapted_tower(family, groups=("vision", "merger", "text-attention"), **options):
    model, processor = tiny_model(family)
    torch.manual_seed(0)
    pattern = "|".join(f"({FAMILIES[family].groups[group]})" for group in groups)
    settings = {"r": 3, "lora_alpha": 6, "target_modules": pattern, "init_lora_weights": False, **options}
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings)), model, processor


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_adapted_blocks_and_mergers_equal_the_stock_model_with_peft(family, backend):
    trained, model, processor = adapted_tower(family)
    reference = stock_loss(trained, processor)
    expected = gradients(reference, trained)
    forward = packed_forward(trained.base_model.model, processor.geometry, backend=backend)
    assert forward.vision.unfused == {}
    assert isinstance(forward.vision.merger, FusedMerger)
    loss = forward.loss(pack_of(model, processor)) / 7
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-6)
    results = gradients(loss, trained)
    assert any("visual.merger" in name for name in results)
    assert any("visual.blocks.0" in name for name in results)
    assert worst(results, expected) < 2e-5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_frozen_blocks_equal_the_modules(family, backend):
    model, processor = tiny_model(family)
    model.requires_grad_(False)
    pack = pack_of(model, processor, patch_multiple=128)
    expected = packed_forward(model, processor.geometry, fused=False).image_features(pack)
    forward = packed_forward(model, processor.geometry, backend=backend)
    assert forward.vision.unfused == {}
    for features, stock in zip(forward.image_features(pack), expected, strict=True):
        torch.testing.assert_close(features, stock, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_in_the_tower_equals_the_modules_given_the_same_mask(backend):
    trained, model, processor = adapted_tower("qwen3_vl", ("vision", "merger"), lora_dropout=0.3)
    inner, pack = trained.train().base_model.model, pack_of(model, processor)
    fused = packed_forward(inner, processor.geometry, backend=backend)
    by_module = packed_forward(inner, processor.geometry, fused=False)
    by_module.text.options = fused.text.options
    seed = fused.text.options.seed
    blocks = zip(inner.model.visual.blocks, fused.vision.blocks, strict=True)
    pairs = [
        (layer, product)
        for block, run in blocks
        for layer, product in zip(
            (block.attn.qkv, block.attn.proj, block.mlp.linear_fc1, block.mlp.linear_fc2), run.products, strict=True
        )
    ]
    mergers = zip(
        (*inner.model.visual.deepstack_merger_list, inner.model.visual.merger),
        (*fused.vision.deepstack_mergers, fused.vision.merger),
        strict=True,
    )
    pairs += [
        pair for stock, run in mergers for pair in zip((stock.linear_fc1, stock.linear_fc2), run.products, strict=True)
    ]
    losses, grads = [], []
    for forward in (fused, by_module):
        torch.manual_seed(1)
        losses.append(forward.loss(pack) / 7)
        grads.append(gradients(losses[-1], trained))
        for layer, product in pairs:
            mask = LoraDropout(product.dropout.probability, product.dropout.product, seed)
            layer.lora_dropout["default"] = RowsMask(mask)
    torch.testing.assert_close(losses[0], losses[1], atol=1e-5, rtol=1e-6)
    assert worst(grads[0], grads[1]) < 2e-5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda visual: visual.blocks[0].norm1.weight.requires_grad_(), "a norm that is trained"),
        (lambda visual: visual.blocks[0].attn.proj.weight.requires_grad_(), "a layer whose weight is trained"),
    ],
)
def test_a_block_that_stays_module_by_module_says_why(change, reason):
    model, processor = tiny_model("qwen3_vl")
    model.requires_grad_(False)
    change(model.model.visual)
    assert packed_forward(model, processor.geometry, backend="cpu").vision.unfused == {0: reason}


def test_each_step_of_the_optimizer_is_seen():
    trained, model, processor = adapted_tower("qwen2_5_vl")
    optimizer = torch.optim.AdamW([p for p in trained.parameters() if p.requires_grad], lr=0.05, fused=True)
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="cpu")
    pack = pack_of(model, processor)
    for _ in range(2):
        gradients(forward.loss(pack) / 7, trained)
        optimizer.step()
    torch.testing.assert_close(forward.loss(pack) / 7, stock_loss(trained, processor), atol=1e-5, rtol=1e-6)
