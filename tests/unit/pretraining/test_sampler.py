"""Mixtures: what they are made from, and image sizes that fit the packs."""

from pathlib import Path

from pretraining.packs import PackSize
from pretraining.sampler import GEOMETRY, LONGEST_ANSWER, Mixture, token_ids
from transformers import AutoTokenizer

from texlens.models.bundled import NANO_FOLDER


def test_a_mixture_names_all_its_files(tmp_path: Path):
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts/a.otf").write_bytes(b"x")
    files = Mixture("wide", tmp_path / "rows", tmp_path).files()
    assert [file.name for file in files] == ["train-00000-of-00001.parquet", "a.otf"]


def test_the_largest_sample_fits_the_segments_of_a_pack():
    size = PackSize()
    for name, geometry in GEOMETRY.items():
        tokens = geometry.max_pixels // 256
        assert 4 * tokens <= size.longest_image
        assert 64 + tokens + LONGEST_ANSWER[name] <= size.longest_text


def test_token_ids_are_the_tokenizer_s():
    tokenizer = AutoTokenizer.from_pretrained(NANO_FOLDER)
    for label in (
        "\\frac { a } { b } = 1 2",
        "x \\quad \\text{for all} y",
        "\\begin{array} { c } { a } \\\\ \\end{array}",
    ):
        assert token_ids(tokenizer, label) == tokenizer(label)["input_ids"]
