"""The report's Chinese names everything that it shows by a name of ours."""

from pathlib import Path

import texlens.evaluation.report
from texlens.metrics.registry import CAPTION_METRICS, METRICS

SAME_IN_CHINESE = {"BLEU-4", "ROUGE-L", "CDM F1", "CIDEr"}


def test_every_metric_has_a_chinese_title():
    script = (Path(texlens.evaluation.report.__file__).parent / "language.js").read_text(encoding="utf-8")
    titles = {metric.title for metric in (*METRICS, *CAPTION_METRICS)} - SAME_IN_CHINESE
    assert [title for title in sorted(titles) if f'"{title}": "' not in script] == []
