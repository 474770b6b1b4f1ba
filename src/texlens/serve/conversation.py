"""OpenAI's messages reduced to what our models take: one image, one prompt, an optional system prompt."""

from dataclasses import dataclass
from typing import Any

from texlens.serve.errors import ApiError
from texlens.serve.schemas import MAX_EXTRA_FIELDS, ChatRequest, ImagePart, Message, TextPart

_IGNORED = frozenset(["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"])
_NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
"""Fields that are not supported, and their values that mean the same as leaving them out."""


@dataclass(frozen=True)
class Conversation:
    image_url: str
    prompt: str | None
    system: str | None


def refuse_unknown(body: ChatRequest) -> None:
    """
    Raises:
        ApiError: a field that is not supported has a value that would change the answer, or there are too many.
    """
    extra = body.model_extra or {}
    if len(extra) > MAX_EXTRA_FIELDS:
        raise ApiError(422, "invalid_value", f"body: {len(extra)} unknown fields; leave them out")
    for name, value in extra.items():
        if value is None or name in _IGNORED or value in _NEUTRAL_VALUES.get(name, ()):
            continue
        reason = "not supported here" if name in _NEUTRAL_VALUES else "not known"
        raise ApiError(422, "invalid_value", f"{name[:80]}: {reason}; leave it out", name[:80])


def conversation_of(body: ChatRequest) -> Conversation:
    """
    Raises:
        ApiError: no image or several, or turns that are not a plain question.
    """
    systems = [message for message in body.messages if message.role in ("system", "developer")]
    users = [message for message in body.messages if message.role == "user"]
    if len(systems) + len(users) < len(body.messages):
        raise ApiError(
            422, "invalid_value", "messages: earlier answers are not supported; send the question alone", "messages"
        )
    images = [part.image_url.url for message in users for part in _parts(message) if isinstance(part, ImagePart)]
    if len(images) != 1:
        message = f"messages: {len(images)} images; send one, as image_url in a user's message"
        raise ApiError(422, "invalid_value", message, "messages")
    return Conversation(images[0], _joined(users), _joined(systems))


def _parts(message: Message) -> list[TextPart | ImagePart]:
    if isinstance(message.content, str):
        return [TextPart(type="text", text=message.content)]
    return message.content


def _joined(messages: list[Message]) -> str | None:
    texts = [part.text for message in messages for part in _parts(message) if isinstance(part, TextPart)]
    return "\n".join(text for text in texts if text.strip()) or None
