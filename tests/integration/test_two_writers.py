"""Two processes that write to one place: the second is refused in one line, and what the first writes is whole."""

from tests.unit.data.tables import write_splits
from texlens.data.folder.writer import lock_folder, read_folder
from texlens.inference.bulk.readings_file import ReadingsFile


def test_second_import_into_a_folder_is_refused(texlens, tmp_path):
    write_splits(tmp_path / "rows", train=["x", "y"])
    arguments = ("data", "import", tmp_path / "rows", "-o", tmp_path / "out")
    with lock_folder(tmp_path / "out"):
        second = texlens(*arguments)
    assert second.code == 2
    assert "is writing it; wait for it, or name another folder with -o" in second.complaint
    assert texlens(*arguments).code == 0
    assert read_folder(tmp_path / "out")["train"].texts() == ["x", "y"]


def test_second_reading_into_a_file_is_refused(texlens, tmp_path):
    image = write_splits(tmp_path / "rows", train=["x"]) / "a.png"
    image.write_bytes(read_folder(tmp_path / "rows")["train"][0].image.encoded())
    with ReadingsFile(tmp_path / "out.jsonl"):
        second = texlens("read", image, "-o", tmp_path / "out.jsonl")
    assert second.code == 2
    assert "another process writes readings into it" in second.complaint
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_second_training_of_a_run_is_refused(texlens, trained):
    from texlens.core.run_folder import RunFolder

    with RunFolder(trained).locked():
        second = texlens("train", "--resume", trained)
    assert second.code == 2
    assert "in use by process" in second.complaint
