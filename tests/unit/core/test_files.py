import pytest

from texlens.core.files import sha256_of, whole_folder, write_text


def half_written(path):
    with whole_folder(path) as folder:
        (folder / "weights").write_text("half")
        raise RuntimeError


def test_a_folder_is_put_in_place_only_when_it_is_whole(tmp_path):
    path = tmp_path / "adapter"
    with whole_folder(path) as folder:
        (folder / "weights").write_text("old")
    with pytest.raises(RuntimeError):
        half_written(path)
    assert (path / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    write_text(tmp_path / "a.json", "one")
    write_text(tmp_path / "a.json", "two")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "two")]


def test_a_digest_is_of_the_bytes_of_all_files_in_turn(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"bc")
    assert sha256_of(tmp_path / "a", tmp_path / "b") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
