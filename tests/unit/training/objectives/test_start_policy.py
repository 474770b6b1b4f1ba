"""The start's weights for the length of a block."""

import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import adapted, pack_of
from tests.unit.training.objectives.objective_fixtures import perturb
from texlens.models.packed.forward import packed_forward
from texlens.training.objectives.start_policy import StartPolicy


def test_a_new_adapter_s_start_is_the_adapter_switched_off():
    model, processor = tiny_model("qwen3_vl")
    pack = pack_of(model, processor)
    with torch.no_grad():
        base = packed_forward(model, processor.geometry).label_scores(pack).log_probabilities
    tuned = adapted(model, init_lora_weights=True)
    start = StartPolicy(tuned)
    perturb(tuned)
    weights = {name: weight.clone() for name, weight in tuned.named_parameters()}
    forward = packed_forward(tuned.base_model.model, processor.geometry)
    with torch.no_grad():
        changed = forward.label_scores(pack).log_probabilities
    tuned.train()
    with start.active():
        assert not tuned.training
        at_start = forward.label_scores(pack).log_probabilities
    torch.testing.assert_close(at_start, base, atol=1e-6, rtol=1e-6)
    assert (changed - base).abs().max() > 1e-3
    assert tuned.training
    assert all(torch.equal(weight, weights[name]) for name, weight in tuned.named_parameters())


def test_weights_trained_in_full_are_kept_too():
    model, _ = tiny_model("qwen3_vl")
    first = [weight.detach().clone() for weight in model.parameters()]
    start = StartPolicy(model)
    perturb(model)
    with start.active():
        assert all(torch.equal(weight, at_start) for weight, at_start in zip(model.parameters(), first, strict=True))
    assert not any(torch.equal(weight, at_start) for weight, at_start in zip(model.parameters(), first, strict=True))
