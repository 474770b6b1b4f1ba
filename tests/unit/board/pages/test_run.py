import json

from texlens.board.runs import process


def test_measurements_are_sent_once(board, folder):
    first = board.json("/api/run/nano/metrics")
    assert first["rows"][0]["step"] == 1
    again = board.json("/api/run/nano/metrics", position=first["position"])
    assert (again["rows"], again["is_restart"]) == ([], False)
    with (folder / "nano" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 9, "loss": float("nan")}) + "\n")
    assert board.json("/api/run/nano/metrics", position=first["position"])["rows"] == [{"step": 9, "loss": None}]


def test_log_settings_samples_and_report_are_read_from_the_folder(board, folder):
    (folder / "nano" / "log.txt").write_text("2026  <script>alert(1)</script>\n")
    (folder / "nano" / "samples" / "images").mkdir(parents=True)
    (folder / "nano" / "samples" / "00000004.jsonl").write_text('{"id": "a", "text": "x"}\n')
    (folder / "nano" / "samples" / "images" / "000.png").write_text("<svg onload=alert(1)>")
    assert board.json("/api/run/nano/log")["lines"] == ["2026  <script>alert(1)</script>"]
    assert "path: base" in board.json("/api/run/nano/config")["yaml"]
    assert board.json("/api/run/nano")["sample_steps"] == [4]
    assert board.json("/api/run/nano/samples/4")["rows"][0]["text"] == "x"
    image = board.get("/api/run/nano/images/000.png")
    assert (image.headers["content-type"], image.headers["x-content-type-options"]) == ("image/png", "nosniff")
    assert board.json("/api/run/nano/output") == {"lines": []}


def test_the_report_is_a_file_to_save_and_never_a_page(board, folder):
    (folder / "nano" / "report.html").write_text("<script>alert(1)</script>")
    report = board.get("/api/run/nano/report.html")
    assert report.headers["content-disposition"].startswith("attachment")
    assert report.headers["content-type"] == "application/octet-stream"
    (folder / "nano" / "report.html").unlink()
    assert board.get("/api/run/nano/report.html").status_code == 404


def test_stop_of_a_run_that_does_not_train_is_refused(board):
    answer = board.post("/api/run/nano/stop")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_resume_starts_a_process(board, monkeypatch):
    monkeypatch.setattr(process, "TEXLENS", ("true",))
    assert board.post("/api/run/nano/resume").json()["command"][:3] == ["true", "train", "--resume"]
