from texlens.exporting.web.assemble import PAGE, page_files, write_page


def test_the_page_and_the_runtime_are_counted_and_settings_of_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "texlens.exporting.web.assemble.copy_runtime", lambda folder: (folder / "ort.wasm").write_bytes(b"123") and "r"
    )
    for name in ("reader.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    notes = write_page(tmp_path)
    names = {path.name for path in page_files(tmp_path)}
    assert names == {path.name for path in PAGE.iterdir()} | {"ort.wasm", "reader.json"}
    assert notes["page bytes"] == sum(path.stat().st_size for path in PAGE.iterdir()) + 3 + 2


def test_the_page_names_no_other_machine():
    for path in PAGE.iterdir():
        assert "://" not in path.read_text()
