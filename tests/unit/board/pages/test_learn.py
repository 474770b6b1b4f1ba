"""The routes of the page of corrections."""

import pytest

from tests.unit.data.pictures import png
from texlens.workflows.learn.reading import ImageReading, ReadingFile
from texlens.workflows.learn.session import LearnSession

NAMES = [f"{number}.png" for number in range(20)]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(LearnSession, "_identity", lambda self, model: "fake")
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(png(40, 20, number))
    session = LearnSession(folder)
    readings = [ImageReading(key, "x", log_probability=-0.1 * n) for n, key in enumerate(session.images.by_key)]
    ReadingFile(session.folder.root / "readings", "fake").append(readings)
    return folder


@pytest.fixture
def source(board, photos):
    return f"/api/learn/{board.post('/api/learn/open', {'folder': str(photos)}).json()['key']}"


def test_pictures_are_sent_by_doubt_and_corrected(board, source):
    queue = board.json(f"{source}/queue")
    assert (queue["waiting"], len(queue["images"])) == (20, 20)
    first = queue["images"][0]
    answer = board.post(
        f"{source}/correct", {"image": first["key"], "action": "label", "text": "y", "reading": "x", "who": "anna"}
    )
    assert answer.json() == {"version": 1, "problem": ""}
    assert board.json(f"{source}/queue")["waiting"] == 19
    corrected = board.json(f"{source}/corrected")["images"][0]
    assert (corrected["name"], corrected["label"], corrected["who"]) == (first["name"], "y", "anna")


def test_leaving_out_and_undoing(board, source):
    key = board.json(f"{source}/queue")["images"][0]["key"]
    board.post(f"{source}/correct", {"image": key, "action": "leave_out"})
    assert board.json(source)["corrected"]["left_out"] == 1
    board.post(f"{source}/correct", {"image": key, "action": "undo"})
    assert board.json(source)["corrected"]["left_out"] == 0


def test_a_correction_that_is_no_formula_is_saved_and_remarked_on(board, source):
    key = board.json(f"{source}/queue")["images"][0]["key"]
    answer = board.post(f"{source}/correct", {"image": key, "action": "label", "text": r"\frac{a"}).json()
    assert answer["problem"] != ""
    assert board.json(f"{source}/corrected")["images"][0]["label"] == r"\frac{a"


def test_pictures_are_sent_as_png(board, source):
    key = board.json(f"{source}/queue")["images"][0]["key"]
    answer = board.get(f"{source}/image/{key}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert board.get(f"{source}/image/{'0' * 64}").status_code == 400


def test_uploads_go_into_the_folder_and_what_is_no_picture_is_named(board, source, photos):
    headers = {"X-TexLens-Token": board.workspace.token, "Origin": "http://127.0.0.1:8422"}
    files = [("files", ("../<b>.png", png(40, 20, 50))), ("files", ("bad.png", b"<svg/>"))]
    key = source.rpartition("/")[2]
    answer = board.http.post("/api/learn/upload", data={"folder": key}, files=files, headers=headers).json()
    assert answer["files"][0]["saved"] == "_b_.png"
    assert "problem" in answer["files"][1]
    assert (photos / "uploads" / "_b_.png").is_file()
    assert board.json(source)["images"] == 21


def test_uploads_can_begin_a_new_folder(board):
    headers = {"X-TexLens-Token": board.workspace.token, "Origin": "http://127.0.0.1:8422"}
    answer = board.http.post(
        "/api/learn/upload", data={"folder": "my photos"}, files=[("files", ("a.png", png(40, 20)))], headers=headers
    ).json()
    assert board.json("/api/learn")["known"][0]["key"] == answer["key"]
    assert (board.workspace.state / "pictures" / "my_photos" / "a.png").is_file()


def test_training_with_too_few_corrections_is_refused(board, source):
    answer = board.post(f"{source}/train")
    assert answer.status_code == 400
    assert "0 corrected images to train on and 0 held out" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["correct", "read", "train", "choose"])
def test_changes_need_token_and_origin(board, source, path):
    body = {"image": "x", "action": "undo", "round": 1, "keep": True}
    assert board.http.post(f"{source}/{path}", json=body).status_code == 403
    headers = {"X-TexLens-Token": board.workspace.token, "Origin": "http://evil.example"}
    assert board.http.post(f"{source}/{path}", json=body, headers=headers).status_code == 403


def test_two_boards_see_each_others_corrections(board, source, photos):
    from tests.unit.board.conftest import BoardClient

    other = BoardClient(board.workspace)
    key = board.json(f"{source}/queue")["images"][0]["key"]
    other.post(f"{source}/correct", {"image": key, "action": "label", "text": "y"})
    assert board.json(f"{source}/queue")["waiting"] == 19
