"""What the model is given, made visible: image sizes and budget, and every token with its label's color."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError, one_line
from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import Sample
from texlens.inputs.branches.build import build_all_questions
from texlens.inputs.special_tokens import IMAGE_TOKEN

COLORS = {"trained": "bold green", "prompt": "dim", "image": "cyan"}


@dataclass(frozen=True)
class TokenRun:
    """Equal tokens in a row as one entry, so that the image's tokens take one line. `label` None: no loss."""

    token: str
    id: int
    label: int | None
    count: int = 1


@dataclass(frozen=True)
class TextSpan:
    """Tokens of one kind read together, so that a character made of several is whole."""

    text: str
    style: str


@dataclass(frozen=True)
class ExampleView:
    """One row as it is trained on; `error` says why it is not, and the rest is then empty."""

    id: str
    where: str
    text: str
    image_size: tuple[int, int] = (0, 0)
    resized: tuple[int, int] = (0, 0)
    grid: tuple[int, int, int] = (0, 0, 0)
    image_tokens: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    conversation: tuple[TextSpan, ...] = ()
    tokens: tuple[TokenRun, ...] = ()
    error: str | None = None
    images: int = 1


def example_view(
    sample: Sample, tokenizer: PreTrainedTokenizerBase, geometry: ImageGeometry, prompt: str, system_prompt: str | None
) -> ExampleView:
    try:
        example = build_all_questions(sample, tokenizer, geometry, prompt, system_prompt, pixels=True)
        size = sample.image.size
    except DataError as error:
        return ExampleView(sample.id, sample.image.where, sample.text, error=str(error))
    runs = _runs(tokenizer, example.input_ids, example.labels)
    return ExampleView(
        sample.id,
        sample.image.where,
        sample.text,
        size,
        geometry.resized(*size),
        example.grid,
        image_tokens=sum(geometry.tokens(*image.size) for image in sample.images),
        images=len(sample.images),
        prompt_tokens=len(example) - example.answer_tokens,
        answer_tokens=example.answer_tokens,
        conversation=tuple(_text_spans(tokenizer, runs)),
        tokens=tuple(runs),
    )


def examples_json(
    samples: Sequence[Sample],
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    *,
    prompt: str,
    system_prompt: str | None = None,
    rows: Sequence[int] = (0, 1, 2),
    tokens: bool = True,
) -> dict:
    """The rows of these numbers as plain values: `pixel_budget` and `examples`; `tokens` False leaves tokens out."""
    shown = [example_view(samples[index], tokenizer, geometry, prompt, system_prompt) for index in rows]
    shown = shown if tokens else [replace(example, tokens=()) for example in shown]
    return {
        "rows": len(samples),
        "pixel_budget": {"min": geometry.min_pixels, "max": geometry.max_pixels},
        "patch_size": geometry.patch_size,
        "merge_size": geometry.merge_size,
        "examples": [asdict(example) for example in shown],
    }


def print_examples(
    console: Console,
    samples: Sequence[Sample],
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    *,
    prompt: str,
    system_prompt: str | None = None,
    rows: Sequence[int] = (0, 1, 2),
    tokens: bool = True,
) -> None:
    """Print a panel for each of these rows: sizes, the decoded conversation, and with `tokens` the table of tokens."""
    legend = Text.assemble(
        f"pixel budget {geometry.min_pixels:,} to {geometry.max_pixels:,} · "
        f"a token is {geometry.factor}x{geometry.factor} pixels · ",
        ("trained on", COLORS["trained"]),
        " · ",
        ("prompt, no loss", COLORS["prompt"]),
        " · ",
        ("image", COLORS["image"]),
    )
    console.print(legend)
    for index in rows:
        shown = example_view(samples[index], tokenizer, geometry, prompt, system_prompt)
        console.print(
            Panel(_body(shown, tokens), title=Text(one_line(f"{shown.id} · {shown.where}")), title_align="left")
        )


def _body(shown: ExampleView, tokens: bool) -> Table | Text:
    if shown.error:
        return Text(f"rejected: {one_line(shown.error)}", style="red")
    body = Table.grid(padding=(1, 0))
    body.add_row(_sizes(shown))
    body.add_row(Text.assemble(*((_printable(span.text), COLORS[span.style]) for span in shown.conversation)))
    if tokens:
        body.add_row(_token_table(shown.tokens))
    return body


def _printable(text: str) -> str:
    """The text with control characters escaped, but for line feeds and tabs."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def _sizes(shown: ExampleView) -> str:
    (width, height), (new_width, new_height), (_, rows, columns) = shown.image_size, shown.resized, shown.grid
    others = f" (the first of {shown.images})" if shown.images > 1 else ""
    change = "kept" if shown.image_size == shown.resized else f"resized to {new_width}x{new_height}"
    total = shown.prompt_tokens + shown.answer_tokens
    return (
        f"image {width}x{height}{others}, {change}, {new_width * new_height:,} pixels → {rows}x{columns} patches → "
        f"{shown.image_tokens} image tokens\n{total} tokens: {shown.prompt_tokens} prompt (with the image), "
        f"{shown.answer_tokens} trained on"
    )


def _token_table(runs: Sequence[TokenRun]) -> Table:
    table = Table("token", "id", "label", box=None, header_style="bold")
    for run in runs:
        color = COLORS[_style(run)]
        token = repr(run.token)[1:-1] + (f" ×{run.count}" if run.count > 1 else "")
        label = "–" if run.label is None else str(run.label)
        table.add_row(Text(token, color), Text(str(run.id), color), Text(label, color))
    return table


def _style(run: TokenRun) -> str:
    if run.label is not None:
        return "trained"
    return "image" if run.token == IMAGE_TOKEN else "prompt"


def _text_spans(tokenizer: PreTrainedTokenizerBase, runs: Sequence[TokenRun]) -> list[TextSpan]:
    spans = []
    for style, group in groupby(runs, key=_style):
        members = list(group)
        ids = [run.id for run in members for _ in range(run.count)]
        text = f"{IMAGE_TOKEN}×{len(ids)}" if style == "image" else str(tokenizer.decode(ids))
        spans.append(TextSpan(text, style))
    return spans


def _runs(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], labels: Sequence[int]) -> list[TokenRun]:
    runs: list[TokenRun] = []
    for token_id, label in zip(ids, labels, strict=True):
        run = TokenRun(str(tokenizer.decode([token_id])), token_id, None if label == IGNORE_INDEX else label)
        last = runs[-1] if runs else None
        if last and (last.id, last.label) == (run.id, run.label):
            runs[-1] = TokenRun(run.token, run.id, run.label, last.count + 1)
        else:
            runs.append(run)
    return runs
