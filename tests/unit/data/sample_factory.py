"""Samples of every shape for property tests, and samples as values that can be compared."""

from typing import Any

from hypothesis import strategies as st

from tests.unit.data.pictures import png
from texlens.data.lazy_image import LazyImage
from texlens.data.sample import IMAGE_PLACEHOLDER, Question, Sample, Turn

PICTURES = [png(8, 8, seed) for seed in range(3)]
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ODD = st.sampled_from(
    ['a "b", c', "x\ny", "a.png", "<image>", "\\frac{a}{b}", "<|vision_start|>", " x ", "[1]", "\r\n"]
)
TEXTS = WORDS | ODD
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS
FILLED = TEXTS.filter(lambda text: text.strip() and IMAGE_PLACEHOLDER not in text)
QUESTIONS = st.lists(st.builds(Question, FILLED, FILLED, st.sampled_from([None, "tree"])), max_size=2)
NAMES = st.sampled_from(
    ["level", "made", "system", "text", "image", "messages", "answers", "extra", "prompt", "more_questions", "ü"]
)
EXTRA = st.dictionaries(
    NAMES, PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(TEXTS, PLAIN, max_size=2), max_size=2
)


def image(data: bytes, max_pixels: int | None = None) -> LazyImage:
    return LazyImage(lambda: data, "here", max_pixels=max_pixels)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    count = draw(st.sampled_from([1, 1, 2, 3]))
    turns = draw(st.sampled_from([0, 0, 0, 1, 2]))
    history = tuple(
        Turn(role, draw(TEXTS), role == "user" or draw(st.booleans()))
        for _ in range(turns)
        for role in ("user", "assistant")
    )
    if history and draw(st.booleans()):
        history = (*history, Turn("system", draw(TEXTS)))
    prompt = draw(st.none() | TEXTS)
    questions = () if history or IMAGE_PLACEHOLDER in (prompt or "") else tuple(draw(QUESTIONS))
    if not questions and draw(st.booleans()):
        prompt = f"{draw(WORDS)}{IMAGE_PLACEHOLDER}" * count
    pictures = [draw(st.sampled_from(PICTURES)) for _ in range(count)]
    return Sample(
        draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)),
        image(pictures[0], draw(st.sampled_from([None, None, 400]))),
        draw(TEXTS),
        prompt=prompt,
        system=draw(st.none() | TEXTS),
        domain=draw(st.none() | TEXTS),
        extra=draw(EXTRA),
        more_images=tuple(map(image, pictures[1:])),
        history=history,
        more_answers=tuple(draw(st.lists(TEXTS, max_size=2))),
        is_trained=not any(turn.role == "assistant" and turn.is_trained for turn in history) or draw(st.booleans()),
        more_questions=questions,
    )


def values(sample: Sample) -> dict[str, Any]:
    """Everything that a round trip keeps."""
    fields = {name: value for name, value in vars(sample).items() if name not in ("image", "more_images")}
    extra = {name: value for name, value in sample.extra.items() if value is not None}
    images = [(image.encoded(), image.max_pixels) for image in sample.images]
    return fields | {"images": images, "extra": extra}


def plain_sample(id: str = "7", text: str = "x^2", **other: Any) -> Sample:
    return Sample(id, image(PICTURES[0]), text, **other)
