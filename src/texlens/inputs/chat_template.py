"""The one renderer of prompts and answers: training, evaluation, reading and export all get their tokens here.

A prompt is the checkpoint's own chat template around images, earlier turns and a question; an answer is its text and
the end-of-turn token. The two are tokenized apart, as they come about in generation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

from texlens.core.errors import SPECIAL_TOKEN, DataError, ModelError
from texlens.data.sample import IMAGE_PLACEHOLDER, Sample
from texlens.inputs.special_tokens import IMAGE_TOKEN, TURN_END_TOKEN
from texlens.inputs.template_rendering import render_template

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


@dataclass(frozen=True)
class RenderedTurn:
    """A turn as the chat template gets it: the text in pieces with an image between one and the next."""

    role: Literal["system", "user", "assistant"]
    pieces: tuple[str, ...]


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase", *, prompt: str, system_prompt: str | None = None, image_tokens: int
) -> list[int]:
    """Token ids up to where the answer begins, with `image_tokens` image tokens for the image.

    Raises:
        DataError: prompt or system prompt holds a special token's text.
        ModelError: the chat template is missing, or has no position, or several, for the image.
    """
    turns = _with_system(system_prompt, _placed([("user", prompt)], 1))
    (piece,) = _rendered(tokenizer, str(tokenizer.chat_template or ""), turns)
    return _filled(tokenizer, piece, iter([image_tokens]))


def check_turns(sample: Sample, style: PromptStyle) -> None:
    """Everything that `conversation` checks of the row itself, without a tokenizer.

    Raises:
        DataError: images and `<image>` placeholders differ in number, turns don't alternate, an earlier answer is
            empty, or no answer is trained on.
    """
    roles = [turn.role for turn in sample.history if turn.role != "system"]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise DataError("earlier turns that don't alternate; they go user, assistant, user, assistant")
    for turn in sample.history:
        if turn.role == "assistant" and not turn.text.strip():
            raise DataError("0 answer tokens in an earlier answer; fill it, or remove its turns")
    if not any(sample.loss_mask):
        raise DataError("every answer is excluded from the loss; include one, or remove the row")
    _placed(_turn_texts(sample, style), len(sample.images))


def conversation(
    tokenizer: "PreTrainedTokenizerBase", sample: Sample, style: PromptStyle, image_tokens: Sequence[int]
) -> list[TokenSpan]:
    """Everything up to where the sample's answer begins: earlier turns, images in their positions, the prompt.

    Example:
        a row of one turn -> [TokenSpan(prompt)]
        of two -> [TokenSpan(first prompt), TokenSpan(first answer, is_answer=True), TokenSpan(second prompt)]

    An earlier answer with `is_trained` False has `is_answer` False.

    Raises:
        DataError: a text holds a special token's text, or as `check_turns`.
        ModelError: as `prompt_ids`.
    """
    check_turns(sample, style)
    answers = [
        TokenSpan(answer_ids(tokenizer, turn.text), turn.is_trained)
        for turn in sample.history
        if turn.role == "assistant"
    ]
    turns = _with_system(style.of(sample).system_prompt, _placed(_turn_texts(sample, style), len(image_tokens)))
    pieces = _rendered(tokenizer, str(tokenizer.chat_template or ""), turns)
    counts = iter(image_tokens)
    spans = [TokenSpan(_filled(tokenizer, pieces[0], counts))]
    for answer, piece in zip(answers, pieces[1:], strict=True):
        spans += [answer, TokenSpan(_filled(tokenizer, piece, counts))]
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
    return [*ids, token_id(tokenizer, TURN_END_TOKEN)]


def answer_opening(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What the chat template writes between the head of the assistant's turn and the answer: an empty block of
    thinking, or nothing."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    closed, opened = (render_template(tokenizer, messages, add_generation_prompt=prompt) for prompt in (False, True))
    return opened.removeprefix(closed).partition("assistant\n")[2]


def check_special_tokens(tokenizer: "PreTrainedTokenizerBase", text: str, what: str) -> None:
    """A text that spells a special token would be read as one, and end the turn or open an image.

    Raises:
        DataError: naming the token; or half of a surrogate pair, which is no character.
    """
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise DataError(f"{what} holds half of a surrogate pair, which is no character; rewrite it")
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


def _turn_texts(sample: Sample, style: PromptStyle) -> list[tuple[str, str]]:
    """(role, text) of all turns but the system prompt and the last answer."""
    return [*((turn.role, turn.text) for turn in sample.history), ("user", style.of(sample).prompt)]


def _placed(turns: Sequence[tuple[str, str]], images: int) -> tuple[RenderedTurn, ...]:
    """Turns with the users' texts in pieces, an image between one and the next; an answer's text is left out.

    Example:
        ([("user", "Read")], 1) -> (RenderedTurn("user", ("", "Read")),)
        ([("user", "Is <image>")], 1) -> (RenderedTurn("user", ("Is ", "")),)

    Raises:
        DataError: the users' texts have placeholders, but not one for each image.
    """
    placeholders = sum(text.count(IMAGE_PLACEHOLDER) for role, text in turns if role == "user")
    if placeholders not in (0, images):
        raise DataError(f"{images} images for {placeholders} {IMAGE_PLACEHOLDER} placeholders; each image needs one")
    first = [role for role, _ in turns].index("user")
    placed: list[RenderedTurn] = []
    for number, (role, text) in enumerate(turns):
        if role == "assistant":
            placed.append(RenderedTurn("assistant", ()))
        elif role == "system":
            placed.append(RenderedTurn("system", (text,)))
        elif placeholders:
            placed.append(RenderedTurn("user", tuple(text.split(IMAGE_PLACEHOLDER))))
        else:
            placed.append(RenderedTurn("user", ("",) * (images if number == first else 0) + (text,)))
    return tuple(placed)


def _with_system(system_prompt: str | None, turns: tuple[RenderedTurn, ...]) -> tuple[RenderedTurn, ...]:
    return turns if system_prompt is None else (RenderedTurn("system", (system_prompt,)), *turns)


@lru_cache(maxsize=256)
def _rendered(
    tokenizer: "PreTrainedTokenizerBase", template: str, turns: tuple[RenderedTurn, ...]
) -> list[tuple[int, ...]]:
    """Ids before, between and after the earlier answers, one image token for each image.

    `template` is a parameter so that a change of it is noticed.
    """
    if not template:
        raise ModelError("the tokenizer has no chat template; download chat_template.jinja with the checkpoint")
    for turn in turns:
        what = "the system prompt" if turn.role == "system" else "the prompt"
        check_special_tokens(tokenizer, "".join(turn.pieces), what)
    text = render_template(tokenizer, _messages(turns), add_generation_prompt=True)
    _check_system_turns(text, turns)
    answers = sum(turn.role == "assistant" for turn in turns)
    pieces = _between_answers(text, answers)
    rendered = [tuple(tokenizer(piece, add_special_tokens=False)["input_ids"]) for piece in pieces]
    image, end = token_id(tokenizer, IMAGE_TOKEN), token_id(tokenizer, TURN_END_TOKEN)
    expected = sum(len(turn.pieces) - 1 for turn in turns if turn.role == "user")
    image_count = sum(ids.count(image) for ids in rendered)
    if image_count != expected:
        many = "1 image" if expected == 1 else f"{expected} images"
        raise ModelError(f"the chat template has {image_count} positions for {many}; use a vision-language model's")
    if any(ids[:1] != (end,) for ids in rendered[1:]):
        raise ModelError(f"the chat template does not end an answer with {TURN_END_TOKEN}; use another checkpoint's")
    return [rendered[0], *(ids[1:] for ids in rendered[1:])]


def _messages(turns: Sequence[RenderedTurn]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    answers = 0
    for turn in turns:
        if turn.role == "assistant":
            parts = [{"type": "text", "text": ANSWER_PLACEHOLDER.format(answers)}]
            answers += 1
        elif turn.role == "system":
            parts = [{"type": "text", "text": turn.pieces[0]}]
        else:
            parts = _user_parts(turn.pieces)
        messages.append({"role": turn.role, "content": parts})
    return messages


def _user_parts(pieces: Sequence[str]) -> list[dict[str, Any]]:
    first, *others = pieces
    parts: list[dict[str, Any]] = [{"type": "text", "text": first}] if first or not others else []
    for piece in others:
        parts.append({"type": "image"})
        parts += [{"type": "text", "text": piece}] if piece else []
    return parts


def _check_system_turns(text: str, turns: Sequence[RenderedTurn]) -> None:
    """
    Raises:
        ModelError: the template leaves out a system turn, as some do with those after the first turn.
    """
    for turn in turns[1:]:
        if turn.role == "system" and turn.pieces[0].strip() not in text:
            raise ModelError("the chat template leaves out a system turn after the first turn; move it to the front")


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
    image = token_id(tokenizer, IMAGE_TOKEN)
    if image not in ids:
        return list(ids)
    filled: list[int] = []
    for token in ids:
        filled.extend([token] * next(counts) if token == image else [token])
    return filled


def token_id(tokenizer: "PreTrainedTokenizerBase", token: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(token_id, int) or token_id == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer lacks {token}; use the tokenizer that came with the checkpoint")
    return token_id


def count_text_tokens(tokenizer, sample: Sample, prompt: str, system_prompt: str | None) -> int:
    """Tokens of prompt and answer without the image's own; of further questions those after the shared prefix."""
    rows = []
    for each in sample.separate():
        style = PromptStyle(prompt, system_prompt).of(each)
        ids = prompt_ids(tokenizer, prompt=style.prompt, system_prompt=style.system_prompt, image_tokens=0)
        rows.append((ids, len(ids) + len(answer_ids(tokenizer, each.text))))
    shared = min(common_length([ids for ids, _ in rows]), min(len(ids) for ids, _ in rows) - 1)
    return sum(length for _, length in rows) - shared * (len(rows) - 1)


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """Tokens that all rows begin with."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))
