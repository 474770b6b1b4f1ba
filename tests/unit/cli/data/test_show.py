from typer.testing import CliRunner

from texlens.cli.main import app


def shown(*arguments: str) -> str:
    return CliRunner().invoke(app, ["data", "show", "nano_latex-ocr_lora", *arguments], catch_exceptions=False).stdout


def test_one_row_is_printed_as_it_is_without_its_tokens():
    text = shown("--row", "2", "--no-tokens")
    assert "demo-0002" in text
    assert "demo-0001" not in text
    assert "| 5 | \\geq E ^ { 2 }" in text
    assert "Transcribe the LaTeX of this" in text
    assert len(shown("--row", "2").splitlines()) > len(text.splitlines())
