"""Prompts without transformers."""

from texlens.inference.backends.numpy.backend import NumpyBackend
from texlens.models.bundled import NANO_FOLDER
from texlens.models.load import load_processor


def test_prompts_equal_those_of_transformers(numpy_model):
    from texlens.inputs.chat_template import prompt_ids

    assert isinstance(numpy_model.backend, NumpyBackend)
    tokenizer = load_processor(NANO_FOLDER).tokenizer
    for prompt, system in (("Transcribe the LaTeX.", None), ("Écris : x²?", "Be brief."), ("读出公式", None)):
        arguments = {"prompt": prompt, "system_prompt": system, "image_tokens": 5}
        assert prompt_ids(numpy_model.backend.tokenizer, **arguments) == prompt_ids(tokenizer, **arguments)
