"""CSV as an export."""

from tests.unit.data.sample_factory import PICTURES, image, plain_sample, values
from texlens.data.export import export
from texlens.data.folder.writer import FolderWriter, read_folder
from texlens.data.load import load_split
from texlens.data.sample import Sample, Turn
from texlens.data.writers.registry import WRITERS


def folder_of(path, rows):
    with FolderWriter(path, made_by={}) as writer:
        for row in rows:
            writer.add("train", row)
    return read_folder(path)


RICH = Sample(
    "7",
    image(PICTURES[0]),
    "a product",
    prompt="And <image>?",
    system="Be short",
    domain="print",
    extra={"level": 3},
    more_images=(image(PICTURES[1]),),
    history=(Turn("user", "What is <image>?"), Turn("assistant", "a sum")),
    more_answers=("product",),
)


def test_a_csv_rejects_what_it_has_no_column_for_and_keeps_the_rest(tmp_path):
    requested = plain_sample("8", 'a, "b"\nc', prompt="Read", more_answers=("d",), extra={"n": [1]})
    statistics, _ = export(folder_of(tmp_path / "d", [RICH, requested]), tmp_path / "out", WRITERS["csv"], {})
    assert (statistics["kept"], statistics["rejected"]) == (1, 1)
    assert "csv holds no row of several images; export to messages" in (tmp_path / "out/rejected.jsonl").read_text()
    assert [values(row) for row in load_split(str(tmp_path / "out"))] == [values(requested)]
