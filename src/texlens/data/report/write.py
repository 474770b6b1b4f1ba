"""The data report: one HTML file, light and dark, that fetches nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from markupsafe import Markup

from texlens.core.errors import DataError
from texlens.core.files import write_text
from texlens.data.load import Rows
from texlens.data.report.content import MAX_COMMON, MAX_RARE, Inspection, Section, SplitSummary
from texlens.data.resolution import BudgetPlan
from texlens.data.resolution_view import lines
from texlens.data.sample import LazyImage
from texlens.data.validate.findings import KINDS, SEVERITIES, Finding
from texlens.html.histogram import histogram, histogram_of_counts
from texlens.html.pictures import Drawings, data_uri
from texlens.html.template import page_environment
from texlens.latex.render.formats import render_svg

MAX_SHOWN_PER_KIND = 12
MAX_NAMED_PER_KIND = 200
MAX_DRAWING_BYTES = 8_000_000
MAX_DRAWING_S = 60.0


def write_data_report(
    path: Path,
    inspection: Inspection,
    rows: Mapping[str, Rows],
    *,
    title: str,
    family: str,
    command: str = "",
    sections: Sequence[Section] = (),
    draw: Callable[[str], str] = render_svg,
) -> Path:
    """Writes the page at `path`, aside and renamed. `sections` come before the gallery, in their order."""
    drawings = Drawings(draw, MAX_DRAWING_BYTES, MAX_DRAWING_S)
    validation = inspection.validation
    page = (
        page_environment("texlens.data", "report")
        .get_template("page.html.jinja")
        .render(
            title=title,
            command=command,
            family=family,
            inspection=inspection,
            validation=validation,
            counts={severity: validation.of_severity(severity) for severity in SEVERITIES},
            splits=[(name, _split_line(stats)) for name, stats in inspection.splits.items()],
            stats=_stats(inspection),
            kinds=[_kind(kind, count, inspection, rows) for kind, count in validation.counts.items()],
            matrix=_matrix(inspection),
            charts=_charts(inspection),
            plan=inspection.plan,
            plan_lines=_plan_lines(inspection),
            token_bars=_token_bars(inspection),
            commonest=_commonest(inspection),
            rarest=_rarest(inspection),
            sections=[_section(section) for section in sections],
            samples=[
                _sample_panel(rows[split], split, index, inspection, drawings) for split, index in inspection.samples
            ],
        )
    )
    write_text(Path(path), page)
    return Path(path)


def _stats(inspection: Inspection) -> list[tuple[str, str]]:
    splits = inspection.splits.values()
    images = sum(map(len, inspection.sizes.images))
    labels = len(set().union(*(stats.labels for stats in splits)))
    tokens = sorted(count for stats in splits for count in stats.tokens) or [0]
    kinds = sorted({kind for stats in splits for kind in stats.formats})
    return [
        ("Rows", f"{sum(inspection.validation.rows.values()):,}"),
        ("Images read", f"{images:,}"),
        ("Different answers", f"{labels:,}"),
        ("Answers", "LaTeX" if inspection.validation.latex else "plain text"),
        ("Answer, half / longest", f"{tokens[len(tokens) // 2]:,} / {tokens[-1]:,} symbols"),
        ("Stored as", ", ".join(kinds[:4]) + (" …" if len(kinds) > 4 else "") or "nothing readable"),
    ]


def _split_line(stats: SplitSummary) -> dict:
    tokens = sorted(stats.tokens) or [0]
    domains = [name for name in stats.domains if name]
    return {
        "rows": stats.rows + stats.rejected,
        "labels": len(stats.labels),
        "middle": tokens[len(tokens) // 2],
        "longest": tokens[-1],
        "domains": ", ".join(f"{name} {stats.domains[name]:,}" for name in domains[:6]),
    }


def _kind(kind: str, count: int, inspection: Inspection, rows: Mapping[str, Rows]) -> dict:
    about = KINDS[kind]
    findings = [finding for finding in inspection.validation.findings if finding.kind == kind]
    return {
        "name": kind,
        "count": count,
        "severity": about.severity,
        "title": about.title,
        "remedy": about.remedy,
        "fixed": about.fixed,
        "shown": [_thumbnail(finding, rows) for finding in findings[:MAX_SHOWN_PER_KIND]],
        "named": [str(finding) for finding in findings[MAX_SHOWN_PER_KIND:MAX_NAMED_PER_KIND]],
        "unnamed": max(0, count - MAX_NAMED_PER_KIND),
    }


def _thumbnail(finding: Finding, rows: Mapping[str, Rows]) -> dict:
    pictures: list[tuple[str, str | None]] = []
    text = ""
    if finding.row >= 0:
        sample = rows[finding.split][finding.row]
        text = sample.text
        pictures = [(finding.id, _uri(image)) for image in sample.images[:2]]
    if finding.other_row is not None:
        other = rows[finding.other_row[0]][finding.other_row[1]]
        pictures.append((f"{other.id} ({finding.other_row[0]})", _uri(other.image)))
    return {"id": finding.id, "split": finding.split, "pictures": pictures, "reason": finding.reason, "text": text}


def _uri(image: LazyImage) -> str | None:
    """None for an image that no browser would show either."""
    try:
        return data_uri(image)
    except DataError:
        return None


def _matrix(inspection: Inspection) -> list[dict]:
    """A line a split, a cell for each other split that it is compared with."""
    overlaps = {(overlap.of, overlap.inside): overlap for overlap in inspection.validation.overlaps}
    names = list(inspection.splits)
    return [
        {"split": of, "cells": [(inside, overlaps.get((of, inside))) for inside in names]}
        for of in names
        if len(names) > 1
    ]


def _charts(inspection: Inspection) -> list[tuple[str, Markup]]:
    splits = inspection.splits.values()
    sizes = [size for images in inspection.sizes.images for size in images]
    counted = "symbols" if inspection.validation.latex else "characters"
    lengths = [
        length for stats in splits for length in (stats.tokens if inspection.validation.latex else stats.characters)
    ]
    return [
        ("Length of answers", histogram(lengths, counted, style="s2")),
        ("Width of images", histogram([width for width, _ in sizes], "px")),
        ("Height of images", histogram([height for _, height in sizes], "px")),
        ("Width / height", histogram([width / height for width, height in sizes], "times", style="s3")),
    ]


def _plan_lines(inspection: Inspection) -> list[tuple[str, str, str]]:
    if inspection.plan is None:
        return []
    pair = lines(inspection.plan.current), lines(inspection.plan.recommended.plan)
    return [(label, current, better) for (label, current), (_, better) in zip(*pair, strict=True)]


def _token_bars(inspection: Inspection) -> list[tuple[str, Markup]]:
    if inspection.plan is None:
        return []
    return [
        ("Tokens an image, under this budget", _token_chart(inspection.plan.current, "s0")),
        ("Tokens an image, recommended", _token_chart(inspection.plan.recommended.plan, "s1")),
    ]


def _token_chart(budget: BudgetPlan, style: str) -> Markup:
    spread = budget.tokens
    return histogram_of_counts(
        spread.edges, spread.counts, "tokens", minimum=spread.edges[0], maximum=spread.largest, style=style
    )


def _commonest(inspection: Inspection) -> list[tuple[str, int, float]]:
    """Command, rows that use it, and their share of the commonest's."""
    commands = list(islice(inspection.commands.items(), MAX_COMMON))
    maximum = commands[0][1] if commands else 1
    return [(name.replace(" ", "␣"), count, count / maximum) for name, count in commands]


def _rarest(inspection: Inspection) -> list[tuple[str, int]]:
    if len(inspection.commands) <= MAX_COMMON:
        return []
    return list(reversed(list(inspection.commands.items())[MAX_COMMON:]))[:MAX_RARE]


def _section(section: Section) -> dict:
    rows = [
        {"title": row.title, "note": row.note, "pictures": [(caption, _uri(image)) for caption, image in row.pictures]}
        for row in section.rows
    ]
    return {"anchor": section.anchor, "title": section.title, "intro": section.intro, "rows": rows}


def _sample_panel(rows: Rows, split: str, index: int, inspection: Inspection, drawings: Drawings) -> dict:
    sample = rows[index]
    drawn = drawings.index(sample.text) if inspection.validation.latex else None
    item = drawings.items[drawn] if drawn is not None else ""
    return {
        "id": sample.id,
        "split": split,
        "domain": sample.domain or "",
        "pictures": [(_uri(image), _about(image, inspection)) for image in sample.images[:4]],
        "prompt": sample.prompt or "",
        "text": sample.text,
        "drawn": Markup(item) if item and not item.startswith("!") else None,
        "reason": item[1:] if item.startswith("!") else "",
    }


def _about(image: LazyImage, inspection: Inspection) -> str:
    return " · ".join(_describe(image, inspection))


def _describe(image: LazyImage, inspection: Inspection) -> Iterator[str]:
    try:
        width, height = image.size
    except DataError as error:
        yield str(error).removeprefix(f"{image.where}: ")
        return
    yield f"{width} × {height} px"
    if inspection.plan is not None:
        tokens = inspection.tokens(width, height)
        yield f"{tokens:,} tokens" if tokens else "over the aspect limit"
