"""The content of a data report, gathered in one pass over the rows."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.data.resolution import LINE_PIXELS, ResolutionPlan, Sizes, plan_resolution
from texlens.data.sample import LazyImage
from texlens.data.token_estimates import text_token_estimate
from texlens.data.validate.run import Options, Validation, image_tokens, validate
from texlens.data.validate.scan import RowStats
from texlens.latex.parse.tokens import tokenize

SAMPLES = 24
MAX_COMMON = 40
MAX_RARE = 60


@dataclass(frozen=True)
class PictureRow:
    """A line of pictures with a caption under each; for sections beyond the report's own."""

    title: str
    pictures: Sequence[tuple[str, LazyImage]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part that another command adds to the report, such as previews of augmentation."""

    anchor: str
    title: str
    intro: str
    rows: Sequence[PictureRow]


@dataclass
class SplitSummary:
    """Counts of a split; `characters` and `tokens` are of the answers, in order of rows."""

    rows: int = 0
    rejected: int = 0
    labels: set[int] = field(default_factory=set)
    characters: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    domains: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Inspection:
    """`sizes` are of all readable images; `commands` counts the rows that use each LaTeX command (none for captions);
    `samples` are places of rows to show. `plan` is None where no image can be read.
    """

    splits: Mapping[str, SplitSummary]
    validation: Validation
    sizes: Sizes
    commands: Mapping[str, int]
    samples: Sequence[tuple[str, int]]
    plan: ResolutionPlan | None
    geometry: ImageGeometry

    def tokens(self, width: int, height: int) -> int:
        """What an image of this size costs; 0 over the aspect limit."""
        return image_tokens(width, height, self.geometry)

    def to_json(self) -> dict:
        return {
            "splits": {
                name: {
                    "rows": stats.rows,
                    "rejected": stats.rejected,
                    "distinct_labels": len(stats.labels),
                    "answer_tokens": sum(stats.tokens),
                    "domains": dict(stats.domains),
                    "formats": dict(stats.formats),
                }
                for name, stats in self.splits.items()
            },
            "validation": {key: value for key, value in self.validation.to_json().items() if key != "findings"},
            "commands": dict(self.commands),
            "plan": self.plan.to_json() if self.plan else None,
        }


def inspect(
    splits: Mapping[str, Rows],
    options: Options,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    line_pixels: int = LINE_PIXELS,
    cache: Path | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Inspection:
    """Validates every row and counts what it meets; `samples` rows are drawn by `seed`, from all splits alike.

    Raises:
        DataError, ConfigError: as `validate` and `plan_resolution`.
    """
    stats = {name: SplitSummary(rejected=len(rows.rejected)) for name, rows in splits.items()}
    images: list[tuple[tuple[int, int], ...]] = []
    tokens: list[int] = []
    commands: Counter[str] = Counter()

    def meet(split: str, row: RowStats) -> None:
        _count(stats[split], row)
        commands.update({token for token in tokenize(row.sample.text) if token[0] == "\\"})
        if all(image.width for image in row.images):
            images.append(tuple((image.width, image.height) for image in row.images))
            tokens.append(text_token_estimate(row.sample, options.prompt, None))

    validation = validate(splits, options, cache=cache, on_progress=on_progress, on_row=meet)
    sizes = Sizes(images, tokens, sum(part.rows + part.rejected for part in stats.values()) - len(images))
    return Inspection(
        stats,
        validation,
        sizes,
        dict(commands.most_common()) if validation.latex else {},
        _drawn({name: len(rows) for name, rows in splits.items()}, samples, seed),
        plan_resolution(sizes, options.geometry, context=options.context, line_pixels=line_pixels) if images else None,
        options.geometry,
    )


def _count(stats: SplitSummary, row: RowStats) -> None:
    sample = row.sample
    stats.rows += 1
    stats.labels.add(hash("".join(sample.text.split())))
    stats.characters.append(len(sample.text))
    stats.tokens.append(len(tokenize(sample.text)))
    stats.domains[sample.domain or ""] += 1
    stats.formats.update(f"{image.format} {image.mode}" for image in row.images if image.format)


def _drawn(rows: Mapping[str, int], count: int, seed: int) -> list[tuple[str, int]]:
    """Each split gives about as many, in its own order."""
    chosen: list[tuple[str, int]] = []
    left = dict(sorted(rows.items(), key=lambda item: item[1]))
    for number, (name, size) in enumerate(left.items()):
        share = min(size, (count - len(chosen)) // (len(left) - number))
        chosen += [(name, index) for index in sorted(random.Random(f"{seed} {name}").sample(range(size), share))]
    order = list(rows)
    return sorted(chosen, key=lambda number: (order.index(number[0]), number[1]))
