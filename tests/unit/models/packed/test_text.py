"""Adapters of other kinds in fused layers give the loss and gradients of PEFT modules, given the same dropout mask."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import SOME_LAYERS, adapted, gradients, pack_of, with_triton, worst
from tests.unit.models.packed.test_forward import DENSE
from texlens.adapters.moe_lora.config import MoeLoraConfig
from texlens.adapters.moe_lora.model import balance_of
from texlens.kernels.dropout.mask import LoraDropout, RowsMask
from texlens.models.families import FAMILIES
from texlens.models.packed.forward import PackedForward, packed_forward
from texlens.models.packed.mixers import mixer_groups
from texlens.models.packed.text import FusedLayer

FORMS = [
    *[pytest.param(kind, "cpu") for kind in ("none", "mlp", "full")],
    *[pytest.param(kind, "triton", marks=with_triton) for kind in ("none", "full")],
]
EVERY_LAYER = r".*language_model\..*_proj$"
ADAPTED = {
    "dropout": {"lora_dropout": 0.3},
    "rank 40 with rsLoRA": {"r": 40, "use_rslora": True},
    "PiSSA": {"init_lora_weights": "pissa"},
    "DoRA": {"use_dora": True, "target_modules": EVERY_LAYER},
}
MIXTURES = {
    "dense": {"experts": 2},
    "dropout": {"experts": 2, "lora_dropout": 0.3, "shared_expert": True},
    "top 1 of 3 with a shared expert": {"experts": 3, "top_k": 1, "shared_expert": True},
    "top 2 of 3": {"experts": 3, "top_k": 2},
}


def share_masks(module_forward: PackedForward, fused: PackedForward, model) -> None:
    """PEFT's modules drop what the products of the fused layers drop."""
    seed = fused.text.options.seed
    module_forward.text.options = fused.text.options
    for layer, run in zip(model.base_model.model.model.language_model.layers, fused.text.layers, strict=True):
        assert isinstance(run, FusedLayer)
        mlp = layer.mlp
        groups = *mixer_groups(layer), (mlp.gate_proj, mlp.up_proj), (mlp.down_proj,)
        for product, modules in zip(run.layer.products, groups, strict=True):
            for module in modules:
                dropouts = getattr(module, "lora_dropout", getattr(module, "moe_lora_dropout", None))
                if product.dropout is not None and dropouts is not None:
                    mask = LoraDropout(product.dropout.probability, product.dropout.product, seed)
                    dropouts["default"] = RowsMask(mask)


def losses(trained, processor, pack, recompute, backend):
    """By PEFT's modules, and fused; the same seed for both."""
    model = trained.base_model.model
    by_module = packed_forward(model, processor.geometry, fused=False)
    fused = packed_forward(model, processor.geometry, recompute=recompute, backend=backend)
    assert fused.text.unfused == {}
    if any(getattr(product, "dropout", None) for run in fused.text.layers for product in run.layer.products):
        share_masks(by_module, fused, trained)
    for forward in (by_module, fused):
        torch.manual_seed(1)
        with torch.compiler.set_stance("force_eager"):
            yield forward.loss(pack) / 7


@pytest.mark.parametrize(("recompute", "backend"), FORMS)
@pytest.mark.parametrize("kind", ADAPTED)
@pytest.mark.parametrize("family", DENSE)
def test_lora_variants_equal_peft(family, kind, recompute, backend):
    model, processor = tiny_model(family)
    trained = adapted(model, **ADAPTED[kind]).train()
    pack = pack_of(model, processor)
    runs = losses(trained, processor, pack, recompute, backend)
    reference = next(runs)
    expected = gradients(reference, trained)
    loss = next(runs)
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-5)
    # The norms in delta nets divide by small numbers, and so amplify the rounding of what is dropped.
    assert worst(gradients(loss, trained), expected) < (5e-5 if FAMILIES[family].zero_centered_norms else 2e-5)


@pytest.mark.parametrize(("recompute", "backend"), FORMS)
@pytest.mark.parametrize("kind", MIXTURES)
@pytest.mark.parametrize("family", DENSE)
def test_moe_lora_with_its_balance_loss_equals_its_modules(family, kind, recompute, backend):
    model, processor = tiny_model(family)
    trained = mixture(model, **MIXTURES[kind])
    pack, balance = pack_of(model, processor), balance_of(trained)
    runs, results = losses(trained, processor, pack, recompute, backend), []
    for _ in range(2):
        with balance.pack(pack):
            loss = next(runs)
        results.append((loss, balance(), trained.base_model.router_log.pop_utilization()))
        gradients_of = gradients(loss + balance(), trained)
        results[-1] += (gradients_of,)
    (reference, reference_balance, use, expected), (loss, extra, fused_use, grads) = results
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(extra, reference_balance, atol=1e-6, rtol=1e-5)
    # With one expert a token the gate is p / p, whose gradient is rounding noise in the modules.
    assert worst(grads, expected) < (3e-4 if MIXTURES[kind].get("top_k") == 1 else 2e-5)
    assert use.keys() == fused_use.keys()
    assert all(fused_use[name] == pytest.approx(use[name], abs=1e-5) for name in use)


def mixture(model, **options):
    from peft import get_peft_model

    torch.manual_seed(0)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": SOME_LAYERS, "balance": 0.1, **options}
    trained = get_peft_model(model, MoeLoraConfig(task_type="CAUSAL_LM", **settings))
    for name, parameter in trained.named_parameters():
        if "moe_lora_B" in name or "shared_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return trained.train()


def test_dropout_is_off_in_evaluation_and_new_in_every_pack():
    model, processor = tiny_model("qwen3_vl")
    trained = adapted(model, lora_dropout=0.3)
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="cpu")
    pack = pack_of(model, processor)
    with torch.no_grad():
        trained.eval()
        plain = forward.loss(pack)
        assert forward.loss(pack) == plain
        trained.train()
        torch.manual_seed(5)
        first, second = forward.loss(pack), forward.loss(pack)
        torch.manual_seed(5)
        repeated = forward.loss(pack)
    assert len({float(plain), float(first), float(second)}) == 3
    assert repeated == first
