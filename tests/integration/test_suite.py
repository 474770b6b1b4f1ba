"""`texlens evaluate MODEL --suite` with small copies of test sets."""

import shutil

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
