"""Projections with stacked weights and adapters."""

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_model
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.example import build_example
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import build_pack
from texlens.inputs.padded_collator import Collator
from texlens.kernels.loss.label_loss import label_loss
from texlens.models.packed.forward import pack_spec, packed_forward

ROWS = [((200, 50), "x ^ 2"), ((90, 120), r"\frac{a}{b}+c"), ((310, 80), "y"), ((64, 64), "a b c d e")]
SOME_LAYERS = r".*language_model\..*\.(q_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)$"


def examples(processor, rows=ROWS, **options):
    samples = [
        Sample(str(number), LazyImage.from_bytes(drawn(*size, number)), text)
        for number, (size, text) in enumerate(rows)
    ]
    return [
        build_example(sample, processor.tokenizer, processor.geometry, "Read.", pixels=True, **options)
        for sample in samples
    ]


def pack_of(model, processor, rows=ROWS, **layout):
    raw = examples(processor, rows, patchify=image_to_raw_patches)
    return build_pack(raw, replace(pack_spec(model.config, processor), **layout))


def adapted(model, **options):
    torch.manual_seed(0)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": SOME_LAYERS, "init_lora_weights": False, **options}
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))


def gradients(loss, model) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def stock_loss(model, processor):
    batch = Collator(processor.pad_token_id, processor.image_token_id)(examples(processor))
    labels = batch.pop("labels")
    return label_loss(model(**batch).logits, labels, 7)


def test_stacked_weights_stay_the_models_own():
    model, processor = tiny_model("qwen2_5_vl")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = adapted(model)
    packed_forward(trained.base_model.model, processor.geometry)
    layer = model.model.language_model.layers[0].self_attn
    storage = layer.q_proj.base_layer.weight.untyped_storage().data_ptr()
    assert layer.k_proj.weight.untyped_storage().data_ptr() == storage
    bare = trained.unload().state_dict()
    assert all(torch.equal(before[name], bare[name]) for name in before)


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_adapters_are_read_after_each_step_of_a_fused_optimizer(recompute):
    model, processor = tiny_model("qwen3_vl")
    trained = adapted(model)
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.05, fused=True)
    forward = packed_forward(trained.base_model.model, processor.geometry, recompute=recompute, backend="cpu")
    pack = pack_of(model, processor)
    for _ in range(2):
        gradients(forward.loss(pack) / 7, trained)
        optimizer.step()
    torch.testing.assert_close(forward.loss(pack) / 7, stock_loss(trained, processor), atol=1e-5, rtol=1e-6)
