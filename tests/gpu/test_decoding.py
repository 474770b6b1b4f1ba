"""The decoding engine on a GPU (Triton kernels, CUDA graphs) compared with the stock generation on the CPU."""

import copy
from dataclasses import replace

import pytest
import torch

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_config, tiny_processor
from tests.unit.inference.engine.conftest import engine_of, prompts_of, samples, states_of
from texlens.inference.engine.layers.vision import InferenceVision
from texlens.inference.engine.prompt_pack import build_prompt_pack
from texlens.models.load import random_model
from texlens.models.packed.forward import pack_spec
from texlens.models.packed.vision import PackedVision

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
__all__ = ["samples"]


def wide_model(family):
    """A tiny model whose heads are as wide as a tensor core's product needs, in float32 on the CPU."""
    settings = tiny_config(family)
    text = settings.get("text_config", settings)
    text |= {"hidden_size": 256, "intermediate_size": 192}
    text |= {"head_dim": 64} if "head_dim" in text else {}
    rope = "rope_parameters" if "rope_parameters" in text else "rope_scaling"
    sections = [4, 2, 2] if "partial_rotary_factor" in text[rope] else [16, 8, 8]
    text[rope] = {**text[rope], "mrope_section": sections}
    vision = settings["vision_config"]
    vision |= {"hidden_size": 256} if family == "qwen2_vl" else {"out_hidden_size": 256}
    torch.manual_seed(0)
    model = random_model(settings)
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.08)
    return model.eval(), tiny_processor(family)


def read(model, processor, samples, *, device, slots=4, **sampling):
    model = copy.deepcopy(model).to(device)
    states = states_of(len(samples), max_new_tokens=24, **sampling)
    engine = engine_of(model, processor, slots=slots)
    prompts = prompts_of(processor, samples)
    engine.add(prompts[:2], states[:2])
    engine.step()
    engine.add(prompts[2:], states[2:])
    engine.finish()
    return states


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_graphs_and_kernels_equal_the_cpu_in_float32(family, samples):
    model, processor = wide_model(family)
    on_gpu = read(model, processor, samples, device="cuda")
    on_cpu = read(model, processor, samples, device="cpu")

    assert [state.tokens for state in on_gpu] == [state.tokens for state in on_cpu]
    for ours, expected in zip(on_gpu, on_cpu, strict=True):
        assert ours.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-4)


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_a_row_does_not_depend_on_its_neighbors(slots, samples):
    model, processor = wide_model("qwen3_vl")
    together = read(model, processor, samples, device="cuda", slots=slots)
    separately = [read(model, processor, [sample], device="cuda", slots=1)[0] for sample in samples]

    assert [state.tokens for state in together] == [state.tokens for state in separately]


@pytest.mark.parametrize("more", [{"top_p": 0.9, "top_logprobs": 3}, {}])
def test_drawn_tokens_are_the_same_on_both_devices(more, samples):
    model, processor = wide_model("qwen3_vl")
    sampling = {"temperature": 0.8, **more}
    on_gpu, on_cpu = (read(model, processor, samples, device=device, **sampling) for device in ("cuda", "cpu"))

    assert [state.tokens for state in on_gpu] == [state.tokens for state in on_cpu]
    for ours, expected in zip(on_gpu, on_cpu, strict=True):
        assert ours.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-3)
    assert all(len(others) == more.get("top_logprobs", 0) for state in on_gpu for others in state.alternatives)


def test_answers_to_one_prompt_equal_those_to_prompts_of_their_own(samples, monkeypatch):
    monkeypatch.setattr("texlens.inference.engine.engine.has_graphs", lambda device: False)
    model, processor = wide_model("qwen3_vl")
    prompts = prompts_of(processor, samples[:2])
    rows = [prompts[number % 2] for number in range(12)]
    shared, separate = (states_of(len(rows)) for _ in range(2))
    for states, prompts_of_rows in ((shared, rows), (separate, [replace(row) for row in rows])):
        for number, state in enumerate(states):
            state.sampling, state.seed = replace(state.sampling, temperature=1.0), number
        engine = engine_of(model.to("cuda"), processor, slots=12)
        engine.add(prompts_of_rows, states)
        engine.finish()

    assert [state.tokens for state in shared] == [state.tokens for state in separate]


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_fused_vision_blocks_equal_the_modules(family, samples):
    """Within what rounding to bfloat16 does to the modules themselves."""
    model, processor = wide_model(family)
    pack = build_prompt_pack(prompts_of(processor, samples), pack_spec(model.config, processor))

    def features(dtype):
        visual = copy.deepcopy(model.model.visual).to("cuda", dtype)
        inputs = {
            name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in pack.vision.items()
        }
        towers = InferenceVision(visual, processor), PackedVision(visual, processor.geometry, processor.family.vision)
        with torch.no_grad():
            return [tower(inputs)[0].float() for tower in towers], towers[0]

    (fused, by_module), tower = features(torch.bfloat16)
    (exact, _), _ = features(torch.float32)

    assert all(block is not None for block in tower.blocks)
    assert (fused - exact).norm() < 1.2 * (by_module - exact).norm()
