"""Predictions of any program scored against references: for `texlens score` and `texlens.evaluation.score`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from texlens.core.errors import ConfigError, DataError
from texlens.latex.cleanup import clean_prediction
from texlens.metrics.cdm import Pictures, rules_named
from texlens.metrics.prediction import Prediction
from texlens.metrics.presets import OURS, Preset, preset_named
from texlens.metrics.registry import chosen_metrics
from texlens.metrics.scores import Scores, Table, checked, table_scores
from texlens.metrics.slices import slices
from texlens.metrics.statistics import RESAMPLES

OWN_LAYOUT = "own"
RENDERERS = (OWN_LAYOUT, "tex")


@dataclass(frozen=True)
class Scored:
    """Totals, slices, and the table they come from.

    `rows_in_own_layout` counts the rows that CDM compared in our own layout although TeX was the renderer.
    """

    scores: Scores
    slices: Mapping[str, Mapping[str, Scores]]
    table: Table
    preset: Preset
    cdm: str
    renderer: str = OWN_LAYOUT
    rows_in_own_layout: int = 0

    def to_json(self) -> dict:
        payload = self.scores.to_json()
        payload["slices"] = {
            name: {part: scores.to_json() for part, scores in parts.items()} for name, parts in self.slices.items()
        }
        for parts in payload["slices"].values():
            for part in parts.values():
                part.pop("undrawn_references", None)
        payload["definitions"] = {metric.name: metric.definition for metric in self.table.metrics}
        if self.renderer != OWN_LAYOUT:
            payload["renderer"] = {"name": self.renderer, "rows_in_own_layout": self.rows_in_own_layout}
        payload |= {"cdm": self.cdm} if self.preset is OURS else {"preset": self.preset.name}
        return payload


def score_pairs(
    references: Sequence[str],
    texts: Sequence[str | None],
    *,
    metrics: str | Sequence[str] = "all",
    cdm: str = "default",
    preset: str | None = None,
    domains: Sequence[str | None] | None = None,
    seed: int = 0,
    renderer: str = OWN_LAYOUT,
    clean: bool = True,
) -> Scored:
    """Scores of texts against references, row by row; a text of None scores 0 and counts as failed.

    Raises:
        DataError: no rows, or not as many texts as references.
        ConfigError: no metric, rules of CDM or preset of that name.
    """
    if len(references) != len(texts):
        raise DataError(
            f"{len(references)} references but {len(texts)} predictions; give one per reference, None if missing"
        )
    width = len(str(len(references)))
    columns = zip(references, texts, domains or [None] * len(references), strict=True)
    rows = [prediction(f"{number:0{width}}", *row) for number, row in enumerate(columns, 1)]
    return score_predictions(rows, metrics=metrics, cdm=cdm, preset=preset, seed=seed, renderer=renderer, clean=clean)


def score_predictions(
    predictions: Sequence[Prediction],
    *,
    metrics: str | Sequence[str] = "all",
    cdm: str = "default",
    preset: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    renderer: str = OWN_LAYOUT,
    clean: bool = True,
) -> Scored:
    """As `score_pairs`, of predictions with ids of their own; `renderer` is what draws for CDM, `own` or `tex`.

    `clean` removes code fences, prose and math delimiters before texts are compared (`latex.cleanup`); a preset never
    does.
    """
    rules, settings = rules_named(cdm), preset_named(preset) if preset else OURS
    if settings is not OURS and metrics not in ("all", ["all"]):
        raise ConfigError(f"preset {settings.name} has its own metrics; leave out either")
    chosen = settings.metrics if settings is not OURS else chosen_metrics(metrics)
    clean = clean and settings is OURS
    pictures = _pictures(checked(predictions), renderer, cdm, clean)
    table = Table.of(
        predictions,
        metrics=chosen,
        rules=rules,
        tokenizer=settings.tokenizer,
        pictures=pictures,
        clean=clean,
    )
    lacking = [row for row in table.rows if row.reference not in pictures or row.text not in pictures]
    return Scored(
        table_scores(table, seed=seed, resamples=resamples),
        slices(table, seed=seed, resamples=resamples),
        table,
        settings,
        cdm,
        renderer,
        len(lacking) if renderer != OWN_LAYOUT else 0,
    )


def _pictures(predictions: Sequence[Prediction], renderer: str, cdm: str, clean: bool) -> Pictures:
    if renderer == OWN_LAYOUT:
        return {}
    if renderer not in RENDERERS:
        raise ConfigError(f"no renderer is named {renderer!r}; choose one of {', '.join(RENDERERS)}")
    if cdm != "default":
        raise ConfigError(f"--renderer {renderer} goes with --cdm default alone; leave out either")
    from texlens.metrics.cdm.tex_pictures import tex_pictures

    texts = [text for row in predictions for text in (row.reference, row.text)]
    return tex_pictures([clean_prediction(text).text for text in texts] if clean else texts)[0]


def prediction(name: str, reference: str, text: object, domain: str | None = None) -> Prediction:
    """A prediction; anything but a string makes a failed one."""
    if isinstance(text, str):
        return Prediction(name, reference, text, domain=domain)
    reason = "no prediction" if text is None else f"the prediction is a {type(text).__name__}, not a string"
    return Prediction(name, reference, "", stop="failed", domain=domain, error=reason)
