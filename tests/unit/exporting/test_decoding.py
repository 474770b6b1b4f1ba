import json

import pytest
import torch
from transformers import GenerationConfig

from tests.fixtures.tiny_models import tiny_model, tiny_processor
from texlens.config.load import build_config
from texlens.exporting.decoding import GENERATION_CONFIG, Decoding, generation_config, write_generation_config

QWEN3_VL = {
    "pad_token_id": 151643,
    "do_sample": True,
    "eos_token_id": [151645, 151643],
    "top_p": 0.8,
    "top_k": 20,
    "temperature": 0.7,
    "repetition_penalty": 1.0,
    "transformers_version": "4.56.0",
}


def test_the_decoding_of_a_run_is_that_of_its_evaluation():
    config = build_config(
        {"model": {"path": "nano"}, "data": {"path": "demo"}, "evaluate": {"max_new_tokens": 40, "temperature": 0.5}}
    )
    assert Decoding.of_run(config) == Decoding(40, 0.5)


def test_sampling_settings_of_the_base_are_replaced_by_greedy_decoding():
    assert generation_config(QWEN3_VL, tiny_processor(), Decoding(64)) == {
        "eos_token_id": [151645, 151643],
        "pad_token_id": 151643,
        "do_sample": False,
        "temperature": 0.0,
        "max_new_tokens": 64,
    }


def test_a_temperature_samples_from_the_whole_vocabulary():
    settings = generation_config({}, tiny_processor(), Decoding(64, 0.5))
    assert settings["do_sample"]
    assert (settings["temperature"], settings["top_k"], settings["top_p"]) == (0.5, 0, 1.0)


def test_a_base_without_generation_config_gives_the_processor_s_end_token(tmp_path):
    processor = tiny_processor()
    write_generation_config(tmp_path, processor, Decoding(8), tmp_path)
    settings = json.loads((tmp_path / GENERATION_CONFIG).read_text())
    assert (settings["eos_token_id"], settings["pad_token_id"]) == (processor.end_token_id, processor.pad_token_id)


@pytest.mark.filterwarnings("error")
def test_plain_generate_decodes_greedily_with_the_written_config(tmp_path):
    """The base's own settings sample: two seeds give two texts."""
    model, processor = tiny_model()
    inputs = torch.arange(5, 45)[None]
    (tmp_path / GENERATION_CONFIG).write_text(json.dumps({**QWEN3_VL, "max_new_tokens": 8, "eos_token_id": 0}))
    sampling = GenerationConfig.from_pretrained(tmp_path)
    write_generation_config(tmp_path, processor, Decoding(8), tmp_path)
    greedy = GenerationConfig.from_pretrained(tmp_path)

    def generated(config: GenerationConfig, seed: int) -> list[int]:
        torch.manual_seed(seed)
        return model.generate(inputs, generation_config=config)[0, 40:].tolist()

    assert generated(sampling, 0) != generated(sampling, 1)
    texts = generated(greedy, 0), generated(greedy, 1)
    assert texts[0] == texts[1]
    with torch.no_grad():
        assert texts[0][0] == model(input_ids=inputs).logits[0, -1].argmax().item()
