import pytest

from texlens.board.runs.samples import sample_image, sample_rows, sample_steps
from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder


@pytest.fixture
def run(tmp_path):
    (tmp_path / "samples" / "images").mkdir(parents=True)
    (tmp_path / "samples" / "00000004.jsonl").write_text('{"id": "a", "text": "x", "image": 3}\n[1]\n{"te')
    (tmp_path / "samples" / "00000012.jsonl").write_text("")
    (tmp_path / "samples" / "notes.jsonl").write_text("")
    (tmp_path / "samples" / "images" / "000.png").write_bytes(b"png")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "samples" / "images" / "001.png").symlink_to(tmp_path / "secret.png")
    return RunFolder(tmp_path)


def test_rows_are_read_by_step_and_damaged_ones_are_left_out(run):
    assert sample_steps(run) == [4, 12]
    assert sample_rows(run, 4) == [
        {"id": "a", "image": None, "reference": None, "text": "x", "stop": None, "error": None}
    ]
    assert sample_rows(run, 5) == []


def test_no_other_file_is_a_picture(run):
    assert sample_image(run, "000.png").read_bytes() == b"png"
    for name in ("001.png", "002.png", "../../secret.png", "notes", "000.png\n"):
        with pytest.raises(RunError, match="no such picture"):
            sample_image(run, name)
