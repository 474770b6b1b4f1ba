"""Packs through the packed forward pass, against the stock models sample by sample."""

import pytest
import torch

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import (
    ROWS,
    adapted,
    examples,
    gradients,
    pack_of,
    stock_loss,
    with_triton,
    worst,
)
from texlens.inputs.padded_collator import Collator
from texlens.models.families import FAMILIES
from texlens.models.packed.forward import packed_forward

DENSE = [name for name in FAMILY_NAMES if FAMILIES[name].expert_parameters is None]


@pytest.mark.parametrize("padding", [{}, {"token_multiple": 64, "patch_multiple": 128}])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_packs_logits_are_those_of_each_sample_alone(family, padding):
    model, processor = tiny_model(family)
    with torch.no_grad():
        logits = packed_forward(model, processor.geometry).logits(pack_of(model, processor, **padding))
        collate = Collator(processor.pad_token_id, processor.image_token_id)
        start = 0
        for example in examples(processor):
            batch = collate([example])
            batch.pop("labels")
            end = start + len(example)
            torch.testing.assert_close(logits[start:end], model(**batch).logits[0], atol=1e-5, rtol=1e-5)
            start = end


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_another_neighbor_changes_nothing(family):
    model, processor = tiny_model(family)
    forward = packed_forward(model, processor.geometry)
    with torch.no_grad():
        before = forward.logits(pack_of(model, processor))
        other = forward.logits(pack_of(model, processor, [ROWS[0], *ROWS[2:], ROWS[1]]))
    first = len(examples(processor)[0])
    torch.testing.assert_close(before[:first], other[:first], atol=1e-6, rtol=1e-6)


FORMS = [
    *[pytest.param(kind, "reference") for kind in ("none", "mlp", "full")],
    *[pytest.param(kind, "cpu") for kind in ("none", "mlp", "full")],
    *[pytest.param(kind, "triton", marks=with_triton) for kind in ("none", "mlp", "full")],
]


@pytest.mark.parametrize(("recompute", "backend"), FORMS)
@pytest.mark.parametrize("family", DENSE)
def test_fused_layers_give_the_loss_and_gradients_of_the_stock_model_with_peft(family, recompute, backend):
    model, processor = tiny_model(family)
    trained = adapted(model)
    reference = stock_loss(trained, processor)
    expected = gradients(reference, trained)
    forward = packed_forward(trained.base_model.model, processor.geometry, recompute=recompute, backend=backend)
    assert forward.text.unfused == {}
    with torch.compiler.set_stance("force_eager"):
        loss = forward.loss(pack_of(model, processor)) / 7
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-6)
    assert worst(gradients(loss, trained), expected) < 1e-5


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_last_layer_of_label_rows_alone_gives_what_all_rows_give(backend):
    model, processor = tiny_model("qwen3_vl")
    trained = adapted(model)
    forward = packed_forward(trained.base_model.model, processor.geometry, backend=backend)
    pack = pack_of(model, processor)
    whole, chosen = forward.hidden(pack), forward.hidden(pack, pack["label_rows"])
    assert len(chosen) < len(whole)
    torch.testing.assert_close(chosen, whole[pack["label_rows"]], atol=1e-6, rtol=1e-6)
    weigh = torch.linspace(-1, 1, chosen.numel()).view_as(chosen)
    expected = gradients((whole[pack["label_rows"]] * weigh).sum(), trained)
    assert worst(gradients((chosen * weigh).sum(), trained), expected) < 1e-5


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_dora": True}, "layers of one input with and without DoRA"),
        ({"lora_dropout": 0.1}, "dropout or MoE-LoRA, for which there is no reference form"),
    ],
)
def test_what_can_not_be_fused_runs_module_by_module_and_says_why(options, reason):
    model, processor = tiny_model("qwen3_vl")
    trained = adapted(model, **options)
    forward = packed_forward(trained.base_model.model, processor.geometry)
    assert set(forward.text.unfused.values()) == {reason}
    assert forward.fused_layers == 0
