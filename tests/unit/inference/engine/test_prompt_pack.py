"""Packs of prompts: shared images, and padding to the sizes that have a CUDA graph."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.inference.engine.conftest import engine_of, prompts_of, states_of, stock
from texlens.inference.engine.prompt_pack import build_prompt_pack, graph_size, token_multiple
from texlens.models.packed.forward import pack_spec

PADDED = [(family, 16) for family in FAMILY_NAMES] + [("qwen2_5_vl", 0), ("qwen3_vl", 0)]


@pytest.mark.parametrize(("family", "graph_rows"), PADDED)
def test_padding_changes_nothing(family, graph_rows, samples, monkeypatch):
    """To a size that has a graph, or where there are more rows to a multiple."""
    model, processor = tiny_model(family)
    monkeypatch.setattr("texlens.inference.engine.engine.has_graphs", lambda device: True)
    monkeypatch.setattr("texlens.inference.engine.prompt_pack.GRAPH_ROWS", graph_rows)
    states = states_of(len(samples))

    engine = engine_of(model, processor, slots=8)
    engine.add(prompts_of(processor, samples), states)
    engine.finish()

    for state, sample in zip(states, samples, strict=True):
        tokens, log_probabilities = stock(model, processor, sample)
        assert state.tokens == tokens
        assert state.log_probabilities == pytest.approx(log_probabilities, abs=1e-5)


def test_padded_packs_have_the_shapes_of_their_size(samples):
    model, processor = tiny_model("qwen2_5_vl")
    prompts, spec = prompts_of(processor, samples), pack_spec(model.config, processor)

    shapes = []
    for rows in (prompts[:1], prompts[1:3]):
        pack = build_prompt_pack(rows, spec, graph_size(rows))
        shapes.append([pack.token_ids.shape, pack.last.shape, pack.ends.shape, pack.image_rows.shape])
        shapes[-1] += [value if isinstance(value, int) else value.shape for value in pack.vision.values()]

    assert graph_size(prompts[:1]) == graph_size(prompts[1:3]) == 256
    assert shapes[0] == shapes[1]


def test_large_packs_have_few_shapes(samples):
    model, processor = tiny_model("qwen3_vl")
    prompts, spec = prompts_of(processor, samples), pack_spec(model.config, processor)

    packs = [build_prompt_pack(prompts[:count], spec, multiple=256) for count in (3, 4, 5)]

    assert (
        {len(pack.token_ids) % 256 for pack in packs} == {len(pack.vision["patches"]) % 1024 for pack in packs} == {0}
    )
    assert token_multiple(prompts * 100) > token_multiple(prompts)
