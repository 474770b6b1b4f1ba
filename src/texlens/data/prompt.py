"""The one renderer of prompts and answers: training, evaluation, reading and export all get their tokens here.

A prompt is the checkpoint's own chat template around one image and one question; an answer is its text and the
end-of-turn token. The two are tokenised apart, as they come about in generation.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError, ModelError
from texlens.data.sample import Sample

IMAGE_TOKEN = "<|image_pad|>"
TURN_END_TOKEN = "<|im_end|>"


@dataclass(frozen=True)
class PromptStyle:
    """What a run asks; `system` None leaves it to the chat template (some add a system prompt of their own)."""

    question: str
    system: str | None = None

    def of(self, sample: Sample) -> "PromptStyle":
        """The style of one row, whose own prompt and system go first."""
        return PromptStyle(
            self.question if sample.prompt is None else sample.prompt,
            self.system if sample.system is None else sample.system,
        )


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, *, question: str, system: str | None = None, image_tokens: int
) -> list[int]:
    """Token ids up to where the answer begins, the image's place filled with `image_tokens` image tokens.

    Raises:
        DataError: question or system holds a special token's text.
        ModelError: the chat template is missing, or makes no place, or several, for the image.
    """
    before, image, after = _rendered(tokenizer, str(tokenizer.chat_template or ""), question, system)
    return [*before, *([image] * image_tokens), *after]


def answer_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of the text and of the end of the turn: what training puts its loss on.

    Raises:
        DataError: the text is empty, or holds a special token's text.
    """
    if not text.strip():
        raise DataError("0 answer tokens; is 'text' empty? fill it or remove the row")
    refuse_special_tokens(tokenizer, text, "the answer")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*ids, _token_id(tokenizer, TURN_END_TOKEN)]


def refuse_special_tokens(tokenizer: PreTrainedTokenizerBase, text: str, what: str) -> None:
    """A text that spells a special token would be read as one, and end the turn or open an image.

    Raises:
        DataError: naming the token.
    """
    if "<" not in text:
        return
    for token in special_tokens(tokenizer):
        if token in text:
            raise DataError(f"{what} holds the special token {token}; rewrite it, for example with a space after <")


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    return _special_tokens(tokenizer, len(tokenizer))


@lru_cache(maxsize=8)
def _special_tokens(tokenizer: PreTrainedTokenizerBase, vocabulary_size: int) -> tuple[str, ...]:
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return tuple(dict.fromkeys([*added, IMAGE_TOKEN, TURN_END_TOKEN]))


@lru_cache(maxsize=256)
def _rendered(
    tokenizer: PreTrainedTokenizerBase, template: str, question: str, system: str | None
) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Ids before the image, the image's token, ids after. `template` is here so that a change of it is noticed."""
    if not template:
        raise ModelError("the tokenizer has no chat template; fetch chat_template.jinja with the checkpoint")
    refuse_special_tokens(tokenizer, question, "the question")
    refuse_special_tokens(tokenizer, system or "", "the system prompt")
    asked: dict[str, Any] = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    told: list[dict[str, Any]] = (
        [{"role": "system", "content": [{"type": "text", "text": system}]}] if system is not None else []
    )
    text = tokenizer.apply_chat_template([*told, asked], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    image = _token_id(tokenizer, IMAGE_TOKEN)
    if ids.count(image) != 1:
        raise ModelError(
            f"the chat template makes {ids.count(image)} places for 1 image; use that of a vision-language model"
        )
    place = ids.index(image)
    return tuple(ids[:place]), image, tuple(ids[place + 1 :])


def _token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(token_id, int) or token_id == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer lacks {token}; use the tokenizer that came with the checkpoint")
    return token_id
