"""`texlens learn` as a person uses it, with the bundled model: read, correct, train, test, keep or discard."""

import json
import shutil

import pytest

from texlens.core.errors import RunError
from texlens.data.load import load_split
from texlens.workflows.learn import round as rounds
from texlens.workflows.learn import session as sessions
from texlens.workflows.learn.session import LearnSession

LABELS = ("x+1", "a_{2}", r"\frac{1}{2}", "y=3", r"\pi r", "n-4", "b^{2}", "z+w", "3k", "t<0", "u+v=1", "7m")
QUICK = ("--rehearsal", "0", "--set", "train.epochs=1", "--set", "evaluate.batch_size=16")


@pytest.fixture(scope="module")
def read_once(tmp_path_factory):
    """A folder of printed formulas that was read."""
    from texlens.latex.render.formats import render_png

    folder = tmp_path_factory.mktemp("learn") / "photos"
    folder.mkdir()
    for number, label in enumerate(LABELS):
        (folder / f"{number:02}.png").write_bytes(render_png(label))
    LearnSession(folder, hold_out=0.4).read()
    return folder


@pytest.fixture
def photos(read_once, tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "MIN_HOLD_OUT", 1)
    monkeypatch.setattr(sessions, "MIN_TRAIN", 1)
    return shutil.copytree(read_once, tmp_path / "photos")


def labels_file(path, images=range(12)):
    path.write_text(json.dumps([{"image": f"{n:02}.png", "text": LABELS[n]} for n in images]))
    return path


def test_the_loop_from_reading_to_a_decision(photos, texlens, tmp_path):
    shown = texlens("learn", photos, "--json").json
    assert (shown["images"], shown["read"], shown["rounds"]) == (12, 12, [])
    assert {each["image"] for each in shown["queue"]} == {f"{n:02}.png" for n in range(12)}
    done = texlens("learn", photos, "--corrections", labels_file(tmp_path / "c.json"), "--train", *QUICK, "--json").json
    result, corrected = done["result"], done["corrected"]
    assert corrected["train"] + corrected["hold_out"] == 12
    assert (result["trained_rows"], result["hold_out"]["rows"]) == (corrected["train"], corrected["hold_out"])
    assert result["kept"] == (result["outcome"] == "better")
    assert done["queue"] == []
    trained, tested = (load_split(str(photos / "learn" / "rounds" / "1" / "data"), split=s) for s in ("train", "test"))
    assert sorted([*trained.texts(), *tested.texts()]) == sorted(LABELS)
    assert not set(trained.ids()) & set(tested.ids())
    after = texlens("learn", photos, "--keep", "1", "--who", "anna", "--json").json
    assert after["rounds"][0]["chosen_by"] == "anna"
    assert after["model"] == str(photos / "learn" / "rounds" / "1" / "run")


def test_a_round_that_was_stopped_goes_on_with_what_was_planned(photos, texlens, tmp_path, monkeypatch):
    texlens("learn", photos, "--corrections", labels_file(tmp_path / "c.json", range(10)))
    monkeypatch.setattr(rounds, "decide", lambda *_: (_ for _ in ()).throw(RunError("stopped here")))
    stopped = texlens("learn", photos, "--train", *QUICK)
    assert (stopped.code, stopped.complaint) == (2, "texlens: stopped here")
    monkeypatch.undo()
    monkeypatch.setattr(rounds, "start_run", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(rounds, "open_model", lambda *_: pytest.fail("read again"))
    done = texlens("learn", photos, "--corrections", labels_file(tmp_path / "c.json"), "--train", *QUICK, "--json").json
    result = done["result"]
    assert result["trained_rows"] + result["hold_out"]["rows"] == 10
    assert done["corrected"]["train"] + done["corrected"]["hold_out"] == 12


def test_too_few_corrections_are_named(read_once, texlens, tmp_path):
    photos = shutil.copytree(read_once, tmp_path / "p")
    refused = texlens("learn", photos, "--train")
    assert refused.code == 2
    assert "0 corrected images to train on and 0 held out; at least 8 and 6 are needed" in refused.complaint
    assert not (photos / "learn" / "rounds").exists()


def test_an_image_that_changed_since_it_was_corrected_stops_the_round(photos, texlens, tmp_path):
    texlens("learn", photos, "--corrections", labels_file(tmp_path / "c.json"))
    session = LearnSession(photos)
    plan = session.plan_round(rehearsal=0)
    (photos / plan.train[0][1]).write_bytes((photos / plan.train[1][1]).read_bytes())
    refused = texlens("learn", photos, "--train")
    assert refused.code == 2
    assert "another image than the one that was corrected" in refused.complaint


def test_a_spreadsheet_of_doubtful_images_goes_out_and_comes_back(photos, texlens, tmp_path):
    texlens("learn", photos, "--queue", tmp_path / "todo.csv")
    lines = (tmp_path / "todo.csv").read_text().splitlines()
    name, _, reading, doubt = lines[1].split(",")
    (tmp_path / "todo.csv").write_text("\n".join([lines[0], f"{name},7m,{reading},{doubt}", *lines[2:]]))
    shown = texlens("learn", photos, "--corrections", tmp_path / "todo.csv", "--json").json
    assert shown["corrected"]["train"] + shown["corrected"]["hold_out"] == 1
    assert name not in {each["image"] for each in shown["queue"]}
