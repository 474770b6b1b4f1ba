"""`texlens evaluate MODEL --suite` with small copies of test sets."""

import json
import shutil
import zipfile

from tests.unit.data.pictures import png


def write_crohme(folder, rows):
    (folder / "CROHME/2014/img").mkdir(parents=True)
    lines = [f"{name}\t{label}" for name, (_, label) in rows.items()]
    (folder / "CROHME/2014/caption.txt").write_text("\n".join(lines))
    for name, (image, _) in rows.items():
        (folder / f"CROHME/2014/img/{name}.png").write_bytes(image)
    return folder


def test_a_run_is_measured_beside_published_results_and_its_train_rows_are_counted(texlens, trained, tmp_path):
    folder = write_crohme(tmp_path / "sets", {"a": (png(40, 20), "x ^ { 2 }"), "b": (png(41, 20), "q q q")})
    done = texlens("evaluate", trained, "--suite", "crohme", "--suite-data", folder, "--json")
    assert done.code == 0, done.err
    (measured,) = done.json["results"]
    assert (measured["test_set"], measured["rows"]) == ("crohme-2014", 2)
    assert measured["train_overlap"]["labels"] == 1, "x ^ { 2 } is a train row's label"
    assert done.json["missing"] == ["crohme-2016", "crohme-2019"]
    assert {"system": "TAMER", "source": "arXiv:2408.08578"}.items() <= done.json["published"][2].items()
    shown = texlens("evaluate", trained, "--suite", "crohme", "--suite-data", folder)
    assert "1 of 2 rows shares an image or a label with train" in shown.out
    assert "CoMER (6.4M)" in shown.out
    shutil.rmtree(folder)


def test_options_that_name_rows_are_refused_with_a_suite(texlens, trained, tmp_path):
    done = texlens("evaluate", trained, "--suite", "crohme", "--data", "demo")
    assert (done.code, done.complaint) == (2, "texlens: --data: --suite names the rows; leave it out")
    done = texlens("evaluate", "nano", "--suite", "crohme", "--suite-data", tmp_path)
    assert done.code == 2
    assert "--suite crohme: no copy of crohme-2014" in done.complaint


def conversations(rows):
    """As Uni-MuMER's data.zip has them: images by their path from where the archive was unpacked."""
    turns = [{"from": "human", "value": "<image>Read it."}, {"from": "gpt", "value": "x ^ { 2 }"}]
    return json.dumps([{"messages": turns, "images": [f"./data/{row}"]} for row in rows])


def write_every_set(folder):
    """One row of each test set, each in the layout in which it is published."""
    picture = png(40, 20)
    lists = {
        "CROHME/prompts/crohme_2014.json": "CROHME/2014/images/a.png",
        "CROHME/prompts/crohme_2016.json": "CROHME/2016/images/a.png",
        "CROHME/prompts/crohme_2019.json": "CROHME/2019/images/a.png",
        "HME100K/prompts/hme100k_test.json": "HME100K/test_images/a.jpg",
        "MathWriting/prompts/mathwriting_test.json": "MathWriting/test/a.png",
        "Im2LaTeXv2/prompts/im2latexv2_test.json": "Im2LaTeXv2/images/a.png",
    }
    for name, image in lists.items():
        for path in (folder / name, folder / image):
            path.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(conversations([image]))
        (folder / image).write_bytes(picture)
    with zipfile.ZipFile(folder / "UniMER-test.zip", "w") as file:
        for part in ("spe", "cpe", "sce", "hwe"):
            file.writestr(f"UniMER-Test/{part}.txt", "x ^ { 2 }\n")
            file.writestr(f"UniMER-Test/{part}/0000000.png", picture)
    return folder


def test_every_test_set_is_read_in_its_published_layout(texlens, trained, tmp_path):
    folder = write_every_set(tmp_path / "benchmarks")
    suites = "crohme,hme100k,mathwriting,unimer,im2latexv2"
    done = texlens("evaluate", trained, "--suite", suites, "--suite-data", folder, "--json")
    assert done.code == 0, done.err
    assert {result["test_set"]: result["rows"] for result in done.json["results"]} == {
        **dict.fromkeys(("crohme-2014", "crohme-2016", "crohme-2019", "hme100k", "mathwriting"), 1),
        **dict.fromkeys(("unimer-spe", "unimer-cpe", "unimer-sce", "unimer-hwe", "im2latexv2"), 1),
    }
    assert done.json["missing"] == []
    assert "rows can't be used" not in done.err
