"""Both parts of a pack give its loss and its gradients together."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import ROWS, adapted, gradients, pack_of, worst
from texlens.inputs.pack import PackBucket
from texlens.models.packed.forward import packed_forward
from texlens.training.backends.pack_split import split_pack


@pytest.mark.parametrize(
    "layout",
    [{}, {"bucket": PackBucket(tokens=64, patches=512, labels=32, bounds=8, segment=64, patches_per_token=1.0)}],
)
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_parts_add_up_to_the_whole(family, layout):
    model, processor = tiny_model(family)
    trained = adapted(model, target_modules=r".*language_model\..*\.(q_proj|o_proj)$")
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="cpu")
    whole = pack_of(model, processor, **layout)
    loss = forward.loss(whole)
    expected = gradients(loss, trained)
    parts = split_pack(whole, processor.geometry.merge_size**2)
    assert parts is not None
    assert [row for part in parts for row in part["rows"]] == whole["rows"]
    assert sum(part["label_count"] for part in parts) == whole["label_count"]
    losses = [forward.loss(part) for part in parts]
    assert float(sum(losses).detach()) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert worst(gradients(sum(losses), trained), expected) < 1e-5


def test_a_single_example_can_not_be_cut():
    model, processor = tiny_model("qwen3_vl")
    assert split_pack(pack_of(model, processor, ROWS[:1]), 4) is None
