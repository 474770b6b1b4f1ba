import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_processor
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.modelfile import MODELFILE, default_system_prompt, ollama_template, write_modelfile

NOTES = {"model": "model.gguf", "projector": "mmproj.gguf", "pixels a token": 1024}


def written(folder, decoding: Decoding, system_prompt: str | None = None, family: str = "qwen3_vl") -> str:
    write_modelfile(folder, NOTES, tiny_processor(family), decoding, system_prompt)
    return (folder / MODELFILE).read_text()


def test_both_files_and_greedy_decoding_are_named(tmp_path):
    lines = written(tmp_path, Decoding(64)).splitlines()
    assert lines[:2] == ["FROM ./model.gguf", "FROM ./mmproj.gguf"]
    for line in ("temperature 0", "top_k 0", "top_p 1", "min_p 0", "repeat_penalty 1", "num_predict 64"):
        assert f"PARAMETER {line}" in lines


def test_a_system_prompt_of_training_is_written(tmp_path):
    assert 'SYSTEM """Be brief."""' in written(tmp_path, Decoding(8), "Be brief.")


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_template_renders_the_chat_template_s_prompt(family):
    """Go's template with its values filled in equals the tokenizer's template."""
    processor = tiny_processor(family)
    messages = [{"role": "user", "content": [{"type": "text", "text": "Read."}]}]
    expected = processor.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    system = default_system_prompt(processor)
    assert render(ollama_template(processor), system, "Read.") == expected


def render(template: str, system: str, prompt: str) -> str:
    start, remainder = template.split("{{- if .Prompt }}")
    system_part = start.removeprefix("{{- if .System }}").removesuffix("{{ end }}").replace("{{ .System }}", system)
    user_part, assistant_part = remainder.split("{{ end }}")
    answer = assistant_part.split("{{ .Response }}")[0]
    return (system_part if system else "") + user_part.replace("{{ .Prompt }}", prompt) + answer
