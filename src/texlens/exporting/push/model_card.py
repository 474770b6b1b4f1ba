"""The model card (README.md) of what is published: data, settings, scores with intervals, limits, licences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from texlens.core.version import VERSION
from texlens.metrics.registry import metric_named
from texlens.models.export_manifest import ExportManifest

MAIN_SCORES = ("exact_match", "exact_match_canonical", "edit_similarity", "cdm_f1", "bleu4", "cider", "length_limit")
LIMITS = (
    "The scores hold for images like the rows above. Others (another handwriting, camera or page layout) may be read "
    "worse; measure them with `texlens evaluate`.",
    "A reading is a guess, and may be wrong without looking wrong. Readings that reach the token limit are cut.",
    "The model reads one formula or text an image; it does not find formulas on a page.",
)


@dataclass(frozen=True)
class ModelCardContent:
    """What a model card says. Data and base are by their public names.

    Attributes:
        scores: of `texlens compare`: `systems`, `paired`, `rows`, `train_overlap`; empty where nothing was measured.
        license: an identifier of the hubs, such as `apache-2.0`; None where it is not known.
        settings: what was trained and how, as label and value.
        loading: Python code.
        commands: shell commands that serve it.
    """

    hub_id: str
    manifest: ExportManifest
    data: str
    rows: Mapping[str, int]
    settings: Sequence[tuple[str, str]]
    license: str | None
    license_source: str
    scores: Mapping[str, Any] = field(default_factory=dict)
    loading: str | None = None
    commands: Sequence[str] = ()
    language: str = "en"


def model_card_text(content: ModelCardContent) -> str:
    """The model card in Markdown, with the metadata that hubs read at its top."""
    parts = [
        f"---\n{yaml.safe_dump(_metadata(content), sort_keys=False, allow_unicode=True)}---",
        f"# {content.hub_id.rpartition('/')[2]}\n\n{_summary(content)}",
        "## Data\n\n" + _data(content),
        "## Settings\n\n" + "\n".join(f"- {label}: {value}" for label, value in content.settings),
        "## Scores\n\n" + _scores(content),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in LIMITS),
        "## Licences\n\n" + _licences(content),
    ]
    if content.loading:
        parts.insert(2, f"## Use\n\n```python\n{content.loading}\n```")
    if content.commands:
        listed = "\n\n".join(content.commands)
        parts.append(f"## Serving\n\n```sh\n{listed}\n```")
    return "\n\n".join(parts) + "\n"


def _metadata(content: ModelCardContent) -> dict[str, Any]:
    manifest = content.manifest
    metadata: dict[str, Any] = {
        "license": content.license or "other",
        "base_model": manifest.base,
        "library_name": "peft" if manifest.format == "adapter" else "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["texlens", "ocr", manifest.format],
    }
    if results := _results(content):
        metadata["model-index"] = [{"name": content.hub_id, "results": results}]
    return metadata


def _results(content: ModelCardContent) -> list[dict[str, Any]]:
    """In the form of the hub's model index; intervals are in the table below."""
    system = _system(content)
    if not system:
        return []
    metrics = [
        {"type": name, "name": metric_named(name).title, "value": round(scores["value"], 4)}
        for name, scores in system["scores"].items()
        if name in MAIN_SCORES
    ]
    dataset = {"name": content.data, "type": "private" if " " in content.data else content.data, "split": "test"}
    return [{"task": {"type": "image-to-text"}, "dataset": dataset, "metrics": metrics}]


def _system(content: ModelCardContent) -> Mapping[str, Any] | None:
    return (content.scores.get("systems") or {}).get("adapter")


def _summary(content: ModelCardContent) -> str:
    manifest = content.manifest
    what = "An adapter for" if manifest.format == "adapter" else f"A model ({manifest.format}) fine-tuned from"
    return (
        f"{what} [`{manifest.base}`](https://huggingface.co/{manifest.base}), trained and measured with TexLens "
        f"{VERSION}. It reads one image with this prompt, at {manifest.min_pixels:,} to {manifest.max_pixels:,} pixels:"
        f"\n\n> {manifest.prompt}"
        if "/" in manifest.base
        else f"{what} `{manifest.base}`, trained and measured with TexLens {VERSION}. It reads one image with this "
        f"prompt, at {manifest.min_pixels:,} to {manifest.max_pixels:,} pixels:\n\n> {manifest.prompt}"
    )


def _data(content: ModelCardContent) -> str:
    rows = ", ".join(f"{count:,} {role}" for role, count in content.rows.items())
    return f"{content.data}{f': {rows} rows' if rows else ''}."


def _scores(content: ModelCardContent) -> str:
    system = _system(content)
    if not system:
        return _verified(content.manifest)
    base = (content.scores.get("systems") or {}).get("base")
    pair = next(iter((content.scores.get("paired") or {}).values()), None)
    lines = ["| score | base | this | difference |", "|---|---|---|---|"]
    for name, score in system["scores"].items():
        if name not in MAIN_SCORES:
            continue
        before = _span(base["scores"][name]) if base and name in base["scores"] else "–"
        change = (pair or {}).get("differences", {}).get(name)
        lines.append(f"| {metric_named(name).title} | {before} | {_span(score)} | {_signed(change)} |")
    overlap = (content.scores.get("train_overlap") or {}).get("sentence", "")
    rows = f"{content.scores['rows']:,} rows of split test, with 95% intervals over rows"
    return f"{rows}; {overlap or 'overlap with train unknown'}.\n\n" + "\n".join(lines)


def _verified(manifest: ExportManifest) -> str:
    """An exported folder knows how it compares with the adapter that it was made from."""
    if not manifest.verified:
        return "Not measured. Do not rely on it before you have measured it on your own rows."
    lines = ["| score | adapter | this | difference |", "|---|---|---|---|"]
    for name, score in manifest.verified["scores"].items():
        span = f"{score['difference']:+.4f} ({score['low']:+.4f} … {score['high']:+.4f})"
        lines.append(f"| {name} | {score['adapter']:.4f} | {score['artifact']:.4f} | {span} |")
    return f"{manifest.verified['rows']} rows, compared with the adapter on its base:\n\n" + "\n".join(lines)


def _span(score: Mapping[str, float]) -> str:
    return f"{score['value']:.4f} ({score['low']:.4f} … {score['high']:.4f})"


def _signed(score: Mapping[str, float] | None) -> str:
    return f"{score['value']:+.4f} ({score['low']:+.4f} … {score['high']:+.4f})" if score else "–"


def _licences(content: ModelCardContent) -> str:
    known = (
        f"`{content.license}`, {content.license_source}"
        if content.license
        else f"not known here: {content.license_source}"
    )
    return (
        f"Weights: {known}. The base's licence holds for them too, and the data's for what was learned from it. "
        "TexLens itself is under Apache-2.0."
    )
