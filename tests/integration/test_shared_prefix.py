"""Several answers of one image with the prefix computed once: losses, logits and gradients of separate rows."""

import pytest
import torch

from tests.fixtures.shared_prefix import QUESTIONS, branched, logits_of_branches, separate_rows
from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import SOME_LAYERS, adapted, gradients, worst
from texlens.inputs.image_patches import image_to_patches
from texlens.inputs.pack import build_pack
from texlens.inputs.padded_collator import Collator
from texlens.kernels.loss.label_loss import label_loss
from texlens.models.families import FAMILIES
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.pack_split import split_pack
from texlens.training.backends.packed_step import packed_step
from texlens.training.distributed.context import SINGLE_PROCESS

LABELS = 50
WITH_MERGER = rf"{SOME_LAYERS}|.*visual\..*(mlp\.[02]|linear_fc[12])$"


def packs_of(model, processor, **layout):
    """Separate rows, and the same with shared prefixes."""
    groups, spec = separate_rows(processor), pack_spec(model.config, processor, **layout)
    return build_pack([row for rows in groups for row in rows], spec), build_pack(branched(processor, groups), spec)


def limit(family: str) -> float:
    """Against the stock model: the norms in delta nets divide by small numbers, and so amplify rounding."""
    return 2e-5 if FAMILIES[family].zero_centered_norms else 1e-5


FORMS = [(family, form) for family in FAMILY_NAMES for form in ("cpu none", "cpu full")]
FORMS += [(family, form) for family in ("qwen3_vl", "qwen3_5") for form in ("modules", "cpu mlp")]


@pytest.mark.parametrize(("family", "form"), FORMS)
def test_loss_and_gradients_equal_separate_rows(family, form):
    model, processor = tiny_model(family)
    trained = adapted(model, target_modules=WITH_MERGER)
    backend, _, recompute = form.partition(" ")
    options = {"fused": False} if backend == "modules" else {"backend": backend, "recompute": recompute}
    forward = packed_forward(trained.base_model.model, processor.geometry, **options)
    rows, shared = packs_of(model, processor, padded=form == "cpu none")
    assert shared["tokens"] < rows["tokens"]
    assert shared["label_count"] == rows["label_count"]
    loss, expected_loss = forward.loss(shared) / LABELS, forward.loss(rows) / LABELS
    torch.testing.assert_close(loss, expected_loss, atol=1e-5, rtol=1e-6)
    expected = gradients(expected_loss, trained)
    assert any("visual" in name for name in expected)
    assert worst(gradients(loss, trained), expected) < 1e-5


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_loss_and_gradients_equal_the_stock_model_row_by_row(family):
    model, processor = tiny_model(family)
    trained = adapted(model)
    groups = separate_rows(processor, patchify=image_to_patches)
    batch = Collator(processor.pad_token_id, processor.image_token_id)([row for rows in groups for row in rows])
    labels = batch.pop("labels")
    reference = label_loss(trained(**batch).logits, labels, LABELS)
    expected = gradients(reference, trained)
    backend = "cpu"
    loss = packed_forward(trained.base_model.model, processor.geometry, backend=backend).loss(
        packs_of(model, processor)[1]
    )
    torch.testing.assert_close(loss / LABELS, reference, atol=1e-5, rtol=1e-6)
    assert worst(gradients(loss / LABELS, trained), expected) < limit(family)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_another_sibling_changes_nothing(family):
    model, processor = tiny_model(family)
    forward = packed_forward(model, processor.geometry)
    spec, results = pack_spec(model.config, processor), []
    first, second = QUESTIONS
    for answer in (r"\frac{a}{b}+c", r"0 0 0 0 0 0 0 0 0 0 0 0"):
        siblings = [first[0], (first[1][0], answer), *first[2:]]
        examples = branched(processor, separate_rows(processor, questions=[siblings, second]))
        with torch.no_grad():
            results.append(logits_of_branches(forward.logits(build_pack(examples, spec)), examples))
    before, after = results
    assert before[1].shape != after[1].shape
    for number in (0, 2, 3, 4, 5, 6):
        torch.testing.assert_close(before[number], after[number], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_5"])
def test_steps_of_several_packs_and_packs_cut_in_two_add_up(family):
    model, processor = tiny_model(family)
    trained = adapted(model)
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="cpu")
    spec = pack_spec(model.config, processor, padded=True)
    rows, shared = packs_of(model, processor, padded=True)
    one_each = [build_pack([example], spec) for example in branched(processor, separate_rows(processor))]
    halves = split_pack(shared, processor.geometry.merge_size**2)
    assert halves is not None
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    results = []
    for packs in ([rows], [shared], one_each, list(halves)):
        trained.zero_grad()
        outcome = packed_step(forward, packs, rows["label_count"], parameters, SINGLE_PROCESS)
        results.append((outcome.loss, torch.cat([parameter.grad.flatten() for parameter in parameters])))
    (loss, grads), *others = results
    for other_loss, other_grads in others:
        torch.testing.assert_close(other_loss, loss, atol=1e-6, rtol=1e-5)
        assert (other_grads - grads).abs().max() < 1e-5 * grads.abs().max()
