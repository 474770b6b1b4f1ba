"""What requests and answers look like: OpenAI's forms as far as we speak them, and our own."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Question = Annotated[str, StringConstraints(max_length=200_000)]


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorForm(BaseModel):
    error: ErrorBody


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorForm, "description": says}
    for status, says in (
        (400, "not an image, broken base64, or not what was announced"),
        (401, "the key is missing or wrong"),
        (404, "no such model"),
        (408, "the body came too slowly"),
        (413, "more bytes or pixels than allowed"),
        (422, "a field is missing or out of bounds"),
        (429, "the queue is full"),
        (500, "a mistake of the server's"),
        (503, "being stopped"),
        (504, "the answer took too long"),
    )
}


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "texlens"
    parent: str | None = None
    question: str
    calibrated: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]


class TokenForm(BaseModel):
    text: str
    probability: float


class Reading(BaseModel):
    """The answer of /v1/read."""

    latex: str
    raw: str
    mathml: str | None
    mathml_problem: str | None
    confidence: float | None
    tokens: list[TokenForm]
    stop: str
    milliseconds: float
    model: str


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class ImageUrl(_Strict):
    url: Annotated[str, StringConstraints(min_length=1)]
    detail: str | None = None


class TextPart(_Strict):
    type: Literal["text"]
    text: Question


class ImagePart(_Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(_Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Question | Annotated[list[Part], Field(max_length=64)]
    name: str | None = None


class StreamOptions(_Strict):
    include_usage: bool = False


class ChatRequest(_Strict):
    """What is not here and would change the answer is refused; see `chat.refuse_unknown`."""

    model_config = ConfigDict(strict=True, extra="allow")

    messages: Annotated[list[Message], Field(min_length=1, max_length=16)]
    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
