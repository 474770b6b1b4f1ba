from dataclasses import replace

import yaml

from texlens.exporting.push.model_card import ModelCardContent, model_card_text
from texlens.models.export_manifest import ExportManifest

MANIFEST = ExportManifest("adapter", "Qwen/Base", "f", "a", "qwen3_vl", "run", 1_000, 50_000, "Read: it.", None, 128)
SCORES = {
    "rows": 260,
    "systems": {
        "base": {"scores": {"exact_match": {"value": 0.1, "low": 0.05, "high": 0.15}}},
        "adapter": {"scores": {"exact_match": {"value": 0.75, "low": 0.7, "high": 0.8}}},
    },
    "paired": {"adapter": {"differences": {"exact_match": {"value": 0.65, "low": 0.6, "high": 0.7}}}},
    "train_overlap": {"sentence": "none of 260 rows shares an image or a label with train"},
}
CONTENT = ModelCardContent(
    hub_id="me/formulas",
    manifest=MANIFEST,
    data="linxy/LaTeX_OCR",
    rows={"train": 660},
    settings=[("adapter", "lora, rank 16")],
    license="apache-2.0",
    license_source="as its publisher states",
    scores=SCORES,
    loading="code()",
    commands=["vllm serve"],
)


def test_the_model_card_has_every_part():
    text = model_card_text(CONTENT)
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["license"] == "apache-2.0"
    assert metadata["base_model"] == "Qwen/Base"
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.75
    assert "linxy/LaTeX_OCR: 660 train rows." in text
    assert "- adapter: lora, rank 16" in text
    assert "0.1000 (0.0500 … 0.1500) | 0.7500 (0.7000 … 0.8000) | +0.6500 (+0.6000 … +0.7000)" in text
    assert "260 rows of split test, with 95% intervals over rows; none of 260 rows" in text
    assert "> Read: it." in text
    for part in ("## Use", "## Limits", "## Licences", "## Serving"):
        assert part in text


def test_what_was_not_measured_says_so_and_has_no_index():
    text = model_card_text(replace(CONTENT, scores={}))
    assert "Not measured." in text
    assert "model-index" not in text


def test_an_export_shows_how_it_compares_with_its_adapter():
    verified = {
        "rows": 32,
        "scores": {"bleu4": {"adapter": 0.5, "artifact": 0.4, "difference": -0.1, "low": -0.2, "high": 0}},
    }
    text = model_card_text(replace(CONTENT, scores={}, manifest=replace(MANIFEST, format="nf4", verified=verified)))
    assert "| bleu4 | 0.5000 | 0.4000 | -0.1000 (-0.2000 … +0.0000) |" in text


def test_an_unknown_licence_is_not_guessed():
    text = model_card_text(replace(CONTENT, license=None, license_source="see that of the base"))
    assert "license: other" in text
    assert "not known here: see that of the base" in text
