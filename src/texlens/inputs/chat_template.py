"""The one renderer of prompts and answers: training, evaluation, reading and export all get their tokens here.

A prompt is the checkpoint's own chat template around images, earlier turns and a question; an answer is its text and
the end-of-turn token. The two are tokenized apart, as they come about in generation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from texlens.core.errors import SPECIAL_TOKEN, DataError, ModelError
from texlens.data.sample import IMAGE_PLACEHOLDER, Sample
from texlens.inputs.special_tokens import IMAGE_TOKEN, TURN_END_TOKEN

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANSWER_PLACEHOLDER = "\ue000{}\ue001"
"""Stands for an earlier answer while the template is rendered, so that it is known which tokens are the answer's."""


@dataclass(frozen=True)
class PromptStyle:
    """What a run asks; `system` None leaves it to the chat template (some add a system prompt of their own)."""

    prompt: str
    system_prompt: str | None = None

    def of(self, sample: Sample) -> "PromptStyle":
        """The style of one row, whose own prompt and system go first."""
        return PromptStyle(
            self.prompt if sample.prompt is None else sample.prompt,
            self.system_prompt if sample.system is None else sample.system,
        )


@dataclass(frozen=True)
class TokenSpan:
    """Tokens of a conversation; `is_answer` marks an assistant's tokens, which the loss is computed on."""

    ids: list[int]
    is_answer: bool = False


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase", *, prompt: str, system_prompt: str | None = None, image_tokens: int
) -> list[int]:
    """Token ids up to where the answer begins, the image's place filled with `image_tokens` image tokens.

    Raises:
        DataError: question or system holds a special token's text.
        ModelError: the chat template is missing, or makes no place, or several, for the image.
    """
    (piece,) = _rendered(tokenizer, str(tokenizer.chat_template or ""), _placed([prompt], 1), system_prompt)
    return _filled(tokenizer, piece, iter([image_tokens]))


def conversation(
    tokenizer: "PreTrainedTokenizerBase", sample: Sample, style: PromptStyle, image_tokens: Sequence[int]
) -> list[TokenSpan]:
    """Everything up to where the sample's answer begins: earlier turns, images in their places, the question.

    Example:
        a row of one turn -> [Passage(prompt)]
        of two -> [Passage(first prompt), Passage(first answer, is_answer=True), Passage(second prompt)]

    Raises:
        DataError: a text holds a special token's text, images and `<image>` marks differ in number, or turns don't
            alternate.
        ModelError: as `prompt_ids`.
    """
    style_of_row = style.of(sample)
    roles = [turn.role for turn in sample.history]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise DataError("earlier turns that don't alternate; they go user, assistant, user, assistant")
    prompts = [turn.text for turn in sample.history if turn.role == "user"] + [style_of_row.prompt]
    answers = [answer_ids(tokenizer, turn.text) for turn in sample.history if turn.role == "assistant"]
    placed = _placed(prompts, len(image_tokens))
    pieces = _rendered(tokenizer, str(tokenizer.chat_template or ""), placed, style_of_row.system_prompt)
    counts = iter(image_tokens)
    spans = [TokenSpan(_filled(tokenizer, pieces[0], counts))]
    for answer, piece in zip(answers, pieces[1:], strict=True):
        spans += [TokenSpan(answer, True), TokenSpan(_filled(tokenizer, piece, counts))]
    return spans


def answer_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Token ids of the text and of the end of the turn: what training puts its loss on.

    Raises:
        DataError: the text is empty, or holds a special token's text.
    """
    if not text.strip():
        raise DataError("0 answer tokens; is 'text' empty? fill it or remove the row")
    check_special_tokens(tokenizer, text, "the answer")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*ids, _token_id(tokenizer, TURN_END_TOKEN)]


def check_special_tokens(tokenizer: "PreTrainedTokenizerBase", text: str, what: str) -> None:
    """A text that spells a special token would be read as one, and end the turn or open an image.

    Raises:
        DataError: naming the token.
    """
    if "<" not in text:
        return
    for token in special_tokens(tokenizer):
        if token in text:
            message = f"{what} holds the special token {token}; rewrite it, for example with a space after <"
            raise DataError(message, SPECIAL_TOKEN)


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    return _special_tokens(tokenizer, len(tokenizer))


@lru_cache(maxsize=8)
def _special_tokens(tokenizer: "PreTrainedTokenizerBase", vocabulary_size: int) -> tuple[str, ...]:
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return tuple(dict.fromkeys([*added, IMAGE_TOKEN, TURN_END_TOKEN]))


def _placed(prompts: Sequence[str], images: int) -> tuple[tuple[str, ...], ...]:
    """Each question in pieces, an image between one and the next.

    Example:
        (["Read"], 1) -> (("", "Read"),);  (["Is <image>", "or <image>?"], 2) -> (("Is ", ""), ("or ", "?"))

    Raises:
        DataError: the questions have marks, but not one for each image.
    """
    placeholders = sum(prompt.count(IMAGE_PLACEHOLDER) for prompt in prompts)
    if not placeholders:
        return (("",) * images + (prompts[0],), *((prompt,) for prompt in prompts[1:]))
    if placeholders != images:
        raise DataError(f"{images} images for {placeholders} {IMAGE_PLACEHOLDER} marks; each image needs one")
    return tuple(tuple(prompt.split(IMAGE_PLACEHOLDER)) for prompt in prompts)


@lru_cache(maxsize=256)
def _rendered(
    tokenizer: "PreTrainedTokenizerBase", template: str, prompts: tuple[tuple[str, ...], ...], system_prompt: str | None
) -> list[tuple[int, ...]]:
    """Ids before, between and after the earlier answers, one image token for each image.

    `template` is here so that a change of it is noticed.
    """
    if not template:
        raise ModelError("the tokenizer has no chat template; fetch chat_template.jinja with the checkpoint")
    for pieces in prompts:
        check_special_tokens(tokenizer, "".join(pieces), "the question")
    check_special_tokens(tokenizer, system_prompt or "", "the system prompt")
    text = tokenizer.apply_chat_template(_messages(prompts, system_prompt), tokenize=False, add_generation_prompt=True)
    pieces = _between_answers(str(text), len(prompts) - 1)
    rendered = [tuple(tokenizer(piece, add_special_tokens=False)["input_ids"]) for piece in pieces]
    image, end = _token_id(tokenizer, IMAGE_TOKEN), _token_id(tokenizer, TURN_END_TOKEN)
    expected, image_count = sum(map(len, prompts)) - len(prompts), sum(ids.count(image) for ids in rendered)
    if image_count != expected:
        many = "1 image" if expected == 1 else f"{expected} images"
        raise ModelError(
            f"the chat template makes {image_count} places for {many}; use that of a vision-language model"
        )
    if any(ids[:1] != (end,) for ids in rendered[1:]):
        raise ModelError(f"the chat template does not end an answer with {TURN_END_TOKEN}; use another checkpoint's")
    return [rendered[0], *(ids[1:] for ids in rendered[1:])]


def _messages(prompts: Sequence[Sequence[str]], system_prompt: str | None) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if system_prompt is not None:
        messages.append({"role": "system", "content": [{"type": "text", "text": system_prompt}]})
    for turn, pieces in enumerate(prompts):
        first, *others = pieces
        parts: list[dict[str, Any]] = [{"type": "text", "text": first}] if first or not others else []
        for piece in others:
            parts.append({"type": "image"})
            parts += [{"type": "text", "text": piece}] if piece else []
        messages.append({"role": "user", "content": parts})
        if turn < len(prompts) - 1:
            parts = [{"type": "text", "text": ANSWER_PLACEHOLDER.format(turn)}]
            messages.append({"role": "assistant", "content": parts})
    return messages


def _between_answers(text: str, answers: int) -> list[str]:
    """
    Raises:
        ModelError: the template leaves out an earlier answer.
    """
    pieces = []
    for turn in range(answers):
        before, placeholder, text = text.partition(ANSWER_PLACEHOLDER.format(turn))
        if not placeholder:
            raise ModelError("the chat template leaves out earlier answers; divide the row into single turns")
        pieces.append(before)
    return [*pieces, text]


def _filled(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], counts: Iterator[int]) -> list[int]:
    """The ids with each image's token as often as the image has tokens."""
    image = _token_id(tokenizer, IMAGE_TOKEN)
    if image not in ids:
        return list(ids)
    filled: list[int] = []
    for token in ids:
        filled.extend([token] * next(counts) if token == image else [token])
    return filled


def _token_id(tokenizer: "PreTrainedTokenizerBase", token: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(token_id, int) or token_id == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer lacks {token}; use the tokenizer that came with the checkpoint")
    return token_id


def count_text_tokens(tokenizer, sample: Sample, prompt: str, system_prompt: str | None) -> int:
    """Tokens of prompt and answer without the image's own."""
    style = PromptStyle(prompt, system_prompt).of(sample)
    ids = prompt_ids(tokenizer, prompt=style.prompt, system_prompt=style.system_prompt, image_tokens=0)
    return len(ids) + len(answer_ids(tokenizer, sample.text))
