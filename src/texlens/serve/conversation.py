"""OpenAI's messages down to what our models are asked: one image, one question, maybe a system prompt."""

from dataclasses import dataclass
from typing import Any

from texlens.serve.errors import Fault
from texlens.serve.schemas import ChatRequest, ImagePart, Message, TextPart

_HARMLESS = frozenset(["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"])
_NEUTRAL: dict[str, tuple[Any, ...]] = {
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
"""Fields that we don't speak, and the values that mean the same as leaving them out."""


@dataclass(frozen=True)
class Conversation:
    url: str
    question: str | None
    system: str | None


def refuse_unknown(body: ChatRequest) -> None:
    """
    Raises:
        Fault: a field that we don't speak holds something that would change the answer.
    """
    for name, value in (body.model_extra or {}).items():
        if value is None or name in _HARMLESS or value in _NEUTRAL.get(name, ()):
            continue
        known = "not supported here" if name in _NEUTRAL else "not known"
        raise Fault(422, "invalid_value", f"{name[:80]}: {known}; leave it out", name[:80])


def conversation_of(body: ChatRequest) -> Conversation:
    """
    Raises:
        Fault: no image or several, or turns that are no plain question.
    """
    systems = [message for message in body.messages if message.role in ("system", "developer")]
    users = [message for message in body.messages if message.role == "user"]
    if len(systems) + len(users) < len(body.messages):
        raise Fault(
            422, "invalid_value", "messages: earlier answers can't be taken up; send the question alone", "messages"
        )
    images = [part.image_url.url for message in users for part in _parts(message) if isinstance(part, ImagePart)]
    if len(images) != 1:
        raise Fault(
            422,
            "invalid_value",
            f"messages: {len(images)} images; send one, as image_url in a user's message",
            "messages",
        )
    return Conversation(images[0], _joined(users), _joined(systems))


def _parts(message: Message) -> list[TextPart | ImagePart]:
    if isinstance(message.content, str):
        return [TextPart(type="text", text=message.content)]
    return message.content


def _joined(messages: list[Message]) -> str | None:
    texts = [part.text for message in messages for part in _parts(message) if isinstance(part, TextPart)]
    return "\n".join(text for text in texts if text.strip()) or None
