"""How many text tokens a sample costs, by a rule of thumb; `inputs.chat_template.count_text_tokens` counts exactly."""

from texlens.data.sample import Sample

CHARACTERS_PER_TOKEN = 2.2
"""Spaced LaTeX under Qwen's tokenizer: 2.2 characters a token on LaTeX_OCR `full` train labels."""
CHAT_TOKENS = 15
"""The turn marks of Qwen's chat templates around one image and one question."""


def text_token_estimate(sample: Sample, question: str, system: str | None) -> int:
    """Tokens of prompt and answer without the image's own."""
    question, system = sample.prompt or question, sample.system or system
    characters = len(question) + len(system or "") + len(sample.text)
    return CHAT_TOKENS + round(characters / CHARACTERS_PER_TOKEN)
