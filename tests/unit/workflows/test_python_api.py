"""`import texlens`: the commands as functions, on the bundled model."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import texlens
from texlens.core.errors import ConfigError, DataError
from texlens.latex.render.formats import render_png


@pytest.fixture(scope="module")
def formula(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("images") / "formula.png"
    path.write_bytes(render_png("x ^ { 2 } + 1", pixels_per_em=14))
    return str(path)


@pytest.fixture(scope="module")
def nano():
    return texlens.load("nano")


def test_one_image_gives_one_prediction(formula, nano):
    assert texlens.read(formula, nano).text == "x ^ { 2 } + 1"


def test_paths_bytes_and_pictures_are_read_alike_and_in_order(formula, nano):
    data = Path(formula).read_bytes()
    texts = [prediction.text for prediction in texlens.read([formula, data, Image.open(formula)], nano)]
    assert texts == ["x ^ { 2 } + 1"] * 3


def test_an_image_that_cannot_be_read_fails_alone(formula, nano, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken, whole = texlens.read([tmp_path / "broken.png", formula], nano)
    assert (broken.stop, whole.text) == ("failed", "x ^ { 2 } + 1")
    assert "not a readable image" in (broken.error or "")


def test_a_text_is_cut_at_the_limit_that_was_given(formula, nano):
    prediction = texlens.read(formula, nano, max_new_tokens=2)
    assert (prediction.stop, prediction.text) == ("length", "x ^")


def test_scores_are_those_of_the_command():
    scores = texlens.score(["x^2", "y"], ["x^{2}", None], metrics="exact_match_canonical")["scores"]
    assert scores["exact_match_canonical"]["value"] == 0.5
    with pytest.raises(DataError):
        texlens.score([], [])


def test_a_checkpoint_needs_data_to_be_evaluated_on():
    with pytest.raises(ConfigError, match="name the rows with --data"):
        texlens.evaluate("nano")


@pytest.mark.slow
def test_a_run_is_trained_compared_and_exported(tmp_path):
    settings = {"model.path": "nano", "data.path": "demo", "data.splits.train": "train[:8]", "train.steps": 1}
    settings |= {"data.splits.test": "test[:2]", "data.splits.validation": None, "output": str(tmp_path), "name": "run"}
    run = texlens.train({"adapter": {"rank": 2}}, settings)
    assert run == tmp_path / "run"
    comparison = texlens.compare(run)
    assert comparison["rows"] == 2
    assert set(comparison["systems"]) == {"base", "adapter"}
    assert texlens.evaluate(run)["scores"]["exact_match"] == comparison["systems"]["adapter"]["scores"]["exact_match"]
    assert (texlens.export(run, "merged", tmp_path / "merged", rows=1) / "model.safetensors").is_file()


def test_importing_the_package_loads_no_torch():
    code = "import sys, texlens; assert 'torch' not in sys.modules and 'pydantic' not in sys.modules; texlens.read"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'raed'"):
        texlens.raed  # noqa: B018
