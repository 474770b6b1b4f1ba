import pytest
from PIL import Image
from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.core.errors import ConfigError, DataError, LatexError


def run(*arguments):
    return CliRunner().invoke(app, ["render", *arguments])


def test_a_png_grows_with_the_scale(tmp_path):
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    assert run(r"\frac{a}{b}", "-o", str(small), "--scale", "20").exit_code == 0
    assert run(r"\frac{a}{b}", "-o", str(large), "--scale", "80").stdout == f"{large}\n"
    assert Image.open(large).height > 2 * Image.open(small).height


def test_an_svg_is_written_in_the_chosen_font(tmp_path):
    run("x", "-o", str(tmp_path / "x.svg"), "--font", "termes")
    assert "termes-" in (tmp_path / "x.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["x", "-o", "x.gif"], ConfigError),
        (["x", "-o", "x.svg", "--scale", "20"], ConfigError),
        (["x", "-o", "no/such/folder/x.png"], DataError),
        ([r"\foo", "-o", "x.png"], LatexError),
        (["x", "-o", "x.png", "--font", "comic"], LatexError),
    ],
)
def test_what_cannot_be_done_is_an_error(arguments, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run(*arguments)
    assert isinstance(outcome.exception, error)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_glyph_is_named_with_the_package_that_brings_it(tmp_path):
    result = CliRunner().invoke(app, ["render", "x \U00010f00", "-o", str(tmp_path / "x.svg")])
    assert result.exit_code == 0
    assert "no font here has \U00010f00 (U+10F00)" in result.stderr
    assert "fonts-noto-cjk" in result.stderr
