"""How many text tokens a sample costs, by a rule of thumb; `inputs.chat_template.count_text_tokens` counts exactly."""

from texlens.data.sample import Sample

CHARACTERS_PER_TOKEN = 2.2
"""Spaced LaTeX under Qwen's tokenizer: 2.2 characters a token on LaTeX_OCR `full` train labels."""
CHAT_TOKENS = 15
"""The turn marks of Qwen's chat templates around one image and one question."""
QUESTION_TOKENS = 6
"""The turn marks around a further question, whose prefix is shared."""


def text_token_estimate(sample: Sample, prompt: str, system_prompt: str | None) -> int:
    """Tokens of prompt and answer without the image's own, and of further questions with theirs."""
    prompt, system_prompt = sample.prompt or prompt, sample.system or system_prompt
    characters = len(prompt) + len(system_prompt or "") + len(sample.text)
    characters += sum(len(question.prompt) + len(question.text) for question in sample.more_questions)
    turns = CHAT_TOKENS + QUESTION_TOKENS * len(sample.more_questions)
    return turns + round(characters / CHARACTERS_PER_TOKEN)
