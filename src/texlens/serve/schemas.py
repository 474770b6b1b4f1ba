"""Requests and answers: OpenAI's forms as far as they are supported, and our own. Every field is bounded."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

MAX_STOP_CHARACTERS = 200
MAX_STOPS = 4
MAX_NAME_CHARACTERS = 256
MAX_EXTRA_FIELDS = 32

Text = Annotated[str, StringConstraints(max_length=200_000)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARACTERS)]
StopText = Annotated[str, StringConstraints(max_length=MAX_STOP_CHARACTERS)]

Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
TopP = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
MinP = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
TopK = Annotated[int, Field(ge=0, le=1_000_000)]
RepetitionPenalty = Annotated[float, Field(ge=0.1, le=10, allow_inf_nan=False)]
MaxTokens = Annotated[int, Field(ge=1, le=2**31)]


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorForm(BaseModel):
    error: ErrorBody


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorForm, "description": description}
    for status, description in (
        (400, "not an image, broken base64, or not what was announced"),
        (401, "the key is missing or wrong"),
        (403, "a web page from elsewhere, or a host name that is not allowed"),
        (404, "no such model"),
        (408, "the body came too slowly"),
        (413, "more bytes or pixels than allowed"),
        (422, "a field is missing or out of bounds"),
        (429, "the queue is full"),
        (500, "the server failed"),
        (503, "being stopped"),
        (504, "the answer took too long"),
    )
}


class ModelEntry(BaseModel):
    """`question` is the prompt under its old name; `prepares`: images are prepared before the model reads them."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "texlens"
    parent: str | None = None
    prompt: str
    system: str | None = None
    question: str
    calibrated: bool
    prepares: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]


class TokenForm(BaseModel):
    text: str
    probability: float


class ReadResponse(BaseModel):
    """The answer of /v1/read; `prepared` are the steps by which the image was changed before it was read."""

    latex: str
    raw: str
    removed: list[str]
    valid: bool
    problem: str | None
    mathml: str | None
    mathml_problem: str | None
    confidence: float | None
    tokens: list[TokenForm]
    stop: str
    milliseconds: float
    model: str
    prepared: list[str]


class PreparedResponse(BaseModel):
    """The answer of /v1/prepared: steps that changed the image, and the base64 of a PNG; no step, no image."""

    steps: list[str]
    image: str | None
    model: str


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class ImageUrl(_Strict):
    url: Annotated[str, StringConstraints(min_length=1)]
    detail: Annotated[str, StringConstraints(max_length=16)] | None = None


class TextPart(_Strict):
    type: Literal["text"]
    text: Text


class ImagePart(_Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else "list"


class Message(_Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[Text, Tag("text")] | Annotated[list[Part], Field(max_length=64), Tag("list")], Discriminator(_kind)
    ]
    name: Name | None = None


class Reading(BaseModel):
    """The formula in an answer of the chat route, which has the model's own words as `content`."""

    latex: str
    removed: list[str]
    valid: bool
    problem: str | None
    confidence: float | None


class StreamOptions(_Strict):
    include_usage: bool = False


class ChatRequest(_Strict):
    """An unknown field that would change the answer is refused; see `conversation.refuse_unknown`."""

    model_config = ConfigDict(strict=True, extra="allow")

    messages: Annotated[list[Message], Field(min_length=1, max_length=16)]
    model: Name | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    min_p: MinP | None = None
    top_k: TopK | None = None
    repetition_penalty: RepetitionPenalty | None = None
    grammar: bool | None = None
    clean: bool | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    stop: (
        Annotated[
            Annotated[StopText, Tag("text")] | Annotated[list[StopText], Field(max_length=MAX_STOPS), Tag("list")],
            Discriminator(_kind),
        ]
        | None
    ) = None
    seed: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
