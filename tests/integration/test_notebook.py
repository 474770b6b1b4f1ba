"""notebooks/quickstart.ipynb is run from its first cell to its last with the shipped model."""

import os
from pathlib import Path

import pytest

from texlens.config.load import load_config

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


def test_the_notebook_carries_no_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TUTORIALS") != "1", reason="a minute; make test-all (TUTORIALS=1) runs it")
def test_the_quickstart_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_NOTEBOOK_STEPS", "2")
    monkeypatch.setenv("TEXLENS_NOTEBOOK_ROWS", "4")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()) if "text" in output
    )
    assert "exact match" in printed
    assert "no GPU here" in printed
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()


def cell(text):
    """The code cell that holds a text."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return next(cell.source for cell in notebook.cells if cell.cell_type == "code" and text in cell.source)


def test_texlens_is_installed_from_the_clone_or_from_the_repository(tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    (clone / "src/texlens").mkdir(parents=True)
    (clone / "notebooks").mkdir()
    code = cell("REPOSITORY").replace("<repository>", "https://git.example/texlens")
    installed = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", lambda command, check: installed.append(command[-1]))
    for folder in (clone / "notebooks", tmp_path):
        monkeypatch.chdir(folder)
        exec(code, {})
    assert installed == [f"texlens[gpu] @ {clone.as_uri()}", "texlens[gpu] @ git+https://git.example/texlens"]


def test_without_an_address_the_first_cell_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="write the repository's address into REPOSITORY"):
        exec(cell("REPOSITORY"), {})


@pytest.mark.parametrize("dtype", ["float16", "auto"])
def test_the_run_for_a_t4_is_a_valid_run_file(dtype, tmp_path, monkeypatch):
    """A T4 and Kaggle's and Colab's GPUs before Ampere get float16."""
    monkeypatch.chdir(tmp_path)
    exec(cell('Path("qwen.yaml")'), {"Path": Path, "DTYPE": dtype, "GPU": False, "texlens": lambda *arguments: ""})
    config = load_config(tmp_path / "qwen.yaml")
    assert (config.model.dtype, config.base.quantize, config.train.steps) == (dtype, "nf4", 60)
