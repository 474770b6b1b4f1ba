"""Every registered decoder against the reference."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from texlens.core.errors import ConfigError
from texlens.inference.adapter_switch import UNCHANGED, AdapterSwitch
from texlens.inference.decoders import DECODERS, decode, open_decoder
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.prompts import prompt_example
from texlens.inputs.chat_template import PromptStyle


def generated(decoder, switch, processor, samples):
    batch = open_decoder(switch, processor, [UNCHANGED], decoder)
    style = PromptStyle("Read this.")
    prompts = [prompt_example(processor, sample, style, raw_patches=batch.raw_patches) for sample in samples]
    states = [GenerationState(Sampling(6 + row), UNCHANGED) for row in range(len(samples))]
    decode(batch, prompts, states)
    return states


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_decoder_gives_the_tokens_and_log_probabilities_of_the_reference(decoder, family, samples):
    model, processor = tiny_model(family)
    switch = AdapterSwitch(model)
    if DECODERS[decoder](switch, processor, [UNCHANGED]) is None:
        pytest.skip(f"{decoder} can't run {family} here")
    expected = generated("reference", switch, processor, samples)
    states = generated(decoder, switch, processor, samples)

    assert [state.tokens for state in states] == [state.tokens for state in expected]
    assert [state.log_probability for state in states] == pytest.approx(
        [state.log_probability for state in expected], abs=1e-3
    )


def test_unknown_decoder_is_refused():
    model, processor = tiny_model()
    with pytest.raises(ConfigError, match="'fast' is not known; use auto or one of"):
        open_decoder(AdapterSwitch(model), processor, [None], "fast")
