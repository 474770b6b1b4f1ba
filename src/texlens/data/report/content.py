"""What a data report tells, gathered in one pass over the rows."""

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
from texlens.data.validate.scan import RowFacts
from texlens.latex.parse.tokens import tokenize

SAMPLES = 24
COMMONEST = 40
RAREST = 60


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
class SplitFacts:
    """Counts of a split; `characters` and `tokens` are of the answers, in order of rows."""

    rows: int = 0
    refused: int = 0
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

    splits: Mapping[str, SplitFacts]
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
                    "rows": facts.rows,
                    "refused": facts.refused,
                    "distinct_labels": len(facts.labels),
                    "answer_tokens": sum(facts.tokens),
                    "domains": dict(facts.domains),
                    "formats": dict(facts.formats),
                }
                for name, facts in self.splits.items()
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
    facts = {name: SplitFacts(refused=len(rows.refused)) for name, rows in splits.items()}
    images: list[tuple[tuple[int, int], ...]] = []
    tokens: list[int] = []
    commands: Counter[str] = Counter()

    def meet(split: str, row: RowFacts) -> None:
        _count(facts[split], row)
        commands.update({token for token in tokenize(row.sample.text) if token[0] == "\\"})
        if all(image.width for image in row.images):
            images.append(tuple((image.width, image.height) for image in row.images))
            tokens.append(text_token_estimate(row.sample, options.question, None))

    validation = validate(splits, options, cache=cache, on_progress=on_progress, on_row=meet)
    sizes = Sizes(images, tokens, sum(part.rows + part.refused for part in facts.values()) - len(images))
    return Inspection(
        facts,
        validation,
        sizes,
        dict(commands.most_common()) if validation.latex else {},
        _drawn({name: len(rows) for name, rows in splits.items()}, samples, seed),
        plan_resolution(sizes, options.geometry, context=options.context, line_pixels=line_pixels) if images else None,
        options.geometry,
    )


def _count(facts: SplitFacts, row: RowFacts) -> None:
    sample = row.sample
    facts.rows += 1
    facts.labels.add(hash("".join(sample.text.split())))
    facts.characters.append(len(sample.text))
    facts.tokens.append(len(tokenize(sample.text)))
    facts.domains[sample.domain or ""] += 1
    facts.formats.update(f"{image.format} {image.mode}" for image in row.images if image.format)


def _drawn(rows: Mapping[str, int], count: int, seed: int) -> list[tuple[str, int]]:
    """Each split gives about as many, in its own order."""
    chosen: list[tuple[str, int]] = []
    left = dict(sorted(rows.items(), key=lambda item: item[1]))
    for place, (name, size) in enumerate(left.items()):
        share = min(size, (count - len(chosen)) // (len(left) - place))
        chosen += [(name, index) for index in sorted(random.Random(f"{seed} {name}").sample(range(size), share))]
    order = list(rows)
    return sorted(chosen, key=lambda place: (order.index(place[0]), place[1]))
