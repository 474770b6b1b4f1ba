from dataclasses import replace

from texlens.exporting.formats.serving_commands import ServingCommand
from texlens.exporting.readme import write_readme
from texlens.models.export_manifest import ExportManifest

VERIFIED = {
    "rows": 3,
    "split": "test",
    "same_texts": 2,
    "same_generated": 3,
    "first_token": {"top1": 1.0, "kl_mean": 0.001, "max_abs": 0.5},
    "scores": {"exact_match": {"adapter": 0.5, "artifact": 0.25, "difference": -0.25, "low": -0.5, "high": 0.0}},
}


MANIFEST = ExportManifest(
    "merged", "base", "f" * 64, "a" * 64, "qwen3_vl", "r", 1000, 2000, "Read it.", None, 8, notes={"method": "m"}
)


def readme(folder, verified=None, loading_code=None) -> str:
    manifest = MANIFEST.with_verification(verified) if verified else MANIFEST
    write_readme(folder, "out", manifest, [ServingCommand("vLLM", "vllm serve out")], loading_code)
    return (folder / "README.md").read_text()


def test_prompt_provenance_and_commands_are_written(tmp_path):
    text = readme(tmp_path, loading_code="import x")
    for part in ("> Read it.", "1,000 to 2,000 pixels", "- method: m", "# vLLM\nvllm serve out", "```python\nimport x"):
        assert part in text
    assert "Not verified" in text


def test_the_verification_is_written_with_its_scores(tmp_path):
    text = readme(tmp_path, VERIFIED)
    assert "2 texts are the same" in text
    assert "same text on 3 of 3 rows" in text
    assert "| exact_match | 0.5000 | 0.2500 | -0.2500 (-0.5000 … +0.0000) |" in text


def test_an_export_of_a_run_that_prepares_images_says_that_other_programs_do_not(tmp_path):
    assert "prepares images" not in readme(tmp_path)
    manifest = replace(MANIFEST, image_preparation={"usual_glyph_px": 10.0})
    write_readme(tmp_path, "out", manifest, [], None)
    assert "TexLens prepares images before it reads them with this folder" in (tmp_path / "README.md").read_text()
    assert "Other programs don't" in (tmp_path / "README.md").read_text()
