"""What is wrong with a row's texts: empty, too long, not what it says."""

import re
from collections.abc import Iterable, Iterator, Sequence

from texlens.data.sample import Sample
from texlens.data.token_estimates import text_token_estimate

WRONG_CHARACTERS = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
MOJIBAKE = re.compile("Ã[\x80-\xbf©±¤¶¼]|â€|ï»¿")
"""UTF-8 that was read as Latin-1."""
LATEX_SIGNS = re.compile(r"[\\^_{}]")
LATEX_SHARE = 0.3
SAMPLE_SIZE = 1_000


def is_latex(texts: Sequence[str]) -> bool:
    """Whether the answers are formulas, judged by their signs (backslash ^ _ { }) in up to a thousand of them."""
    step = max(1, len(texts) // SAMPLE_SIZE)
    some = texts[::step]
    return sum(bool(LATEX_SIGNS.search(text)) for text in some) >= LATEX_SHARE * max(1, len(some))


def check_texts(
    sample: Sample,
    image_tokens: int,
    *,
    prompt: str = "",
    context: int,
    special_tokens: Iterable[str] = (),
) -> Iterator[tuple[str, str]]:
    """(kind, reason) of everything found but the LaTeX itself."""
    if any(not answer.strip() for answer in sample.answers):
        yield "empty-answer", "0 answer tokens"
        return
    tokens = image_tokens + text_token_estimate(sample, prompt, None)
    if tokens > context:
        yield (
            "long-answer",
            f"about {tokens:,} tokens, {image_tokens:,} of them the image's; the context is {context:,}",
        )
    texts = {"answer": " ".join(sample.answers), "prompt": sample.prompt or "", "system": sample.system or ""}
    for number, question in enumerate(sample.more_questions, 1):
        texts[f"question {number}"] = f"{question.prompt} {question.text}"
    for name, text in texts.items():
        special_token = next((token for token in special_tokens if token in text), None)
        if special_token:
            yield "special-token", f"the {name} holds the special token {special_token}"
        wrong = WRONG_CHARACTERS.search(text) or MOJIBAKE.search(text)
        if wrong:
            yield "encoding", f"the {name} holds {wrong[0]!r} at character {wrong.start()}"
