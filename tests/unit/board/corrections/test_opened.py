"""Folders of images that the page opened."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.data.pictures import png
from texlens.board.corrections.opened import OpenedFolders, job_json
from texlens.board.jobs import start_job
from texlens.board.workspace import open_workspace
from texlens.core.errors import ConfigError, DataError, RunError


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.png").write_bytes(png(40, 20, number))
    return tmp_path / "photos"


@pytest.fixture
def folders(tmp_path):
    return OpenedFolders(open_workspace(tmp_path / "runs"))


def test_a_key_opens_the_folder_in_another_board(photos, folders, tmp_path):
    key = folders.open(photos)
    again = OpenedFolders(open_workspace(tmp_path / "runs"))
    assert len(again.get(key).session.images.by_key) == 3
    assert again.known() == [{"key": key, "folder": str(photos)}]


def test_the_first_call_decides_the_model(photos, folders):
    folders.open(photos)
    with pytest.raises(ConfigError, match="began with the model nano"):
        folders.open(photos, "other/model")


def test_opening_again_keeps_the_session_and_sees_new_images(photos, folders):
    opened = folders.get(folders.open(photos))
    (photos / "more.png").write_bytes(png(40, 20, 9))
    assert folders.get(folders.open(photos)) is opened
    assert len(opened.session.images.by_key) == 4


def test_of_two_starts_at_once_one_is_refused(photos, folders, monkeypatch):
    key = folders.open(photos)
    monkeypatch.setattr("texlens.board.corrections.opened.TEXLENS", ("sh", "-c", "exec sleep 60"))
    job_of = folders.job
    monkeypatch.setattr(folders, "job", lambda folder: (job_of(folder), time.sleep(0.05))[0])

    def start(_):
        try:
            return folders.start(key, [])
        except RunError:
            return None

    with ThreadPoolExecutor(8) as pool:
        jobs = [job for job in pool.map(start, range(8)) if job is not None]
    for job in jobs:
        os.kill(job.pid, 9)
    assert len(jobs) == 1


def test_a_folder_that_is_gone_is_named(photos, folders, tmp_path):
    key = folders.open(photos)
    shutil.rmtree(photos)
    with pytest.raises(DataError, match="no such folder"):
        OpenedFolders(open_workspace(tmp_path / "runs")).get(key)
    with pytest.raises(RunError, match="not opened on this board"):
        folders.get("0" * 12)


def test_one_process_at_a_time_works_in_a_folder(photos, folders, tmp_path):
    key = folders.open(photos)
    job = start_job(tmp_path / "runs" / ".board", "learn", lambda _: ["sh", "-c", "echo busy; sleep 60", str(photos)])
    try:
        with pytest.raises(RunError, match="reads or trains here"):
            folders.start(key, ["--train"])
        assert folders.job(str(photos)).id == job.id
    finally:
        os.kill(job.pid, 9)


def test_a_process_is_shown_with_the_end_of_its_output(photos, folders, tmp_path):
    assert job_json(folders.job(str(photos))) is None
    job = start_job(tmp_path / "runs" / ".board", "learn", lambda _: ["sh", "-c", "echo done", str(photos)])

    until = time.monotonic() + 30
    while job_json(job)["exit_code"] is None and time.monotonic() < until:
        time.sleep(0.02)
    shown = job_json(folders.job(str(photos)))
    assert (shown["log"], shown["exit_code"], shown["is_running"]) == ("done\n", 0, False)
