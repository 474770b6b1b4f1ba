from texlens.exporting.formats.web import WEB


def test_the_page_is_written_beside_8_bit_files(job, monkeypatch):
    monkeypatch.setattr("texlens.exporting.formats.web.write_onnx_folder", lambda job, bits: {"bits": bits})
    monkeypatch.setattr("texlens.exporting.web.assemble.copy_runtime", lambda folder: "a runtime")
    notes = WEB.write(job)
    assert notes["bits"] == 8
    assert notes["runtime"] == "a runtime"
    assert {"index.html", "page.js", "reader.js", "resize.js"} <= {path.name for path in job.folder.iterdir()}


def test_the_command_serves_this_machine_alone(job):
    (command,) = WEB.serving_commands(None, job.folder, job.folder)
    assert command.command == f"python -m http.server --bind 127.0.0.1 --directory {job.folder}"
