import json

import pytest

from texlens.core.errors import ExportError
from texlens.exporting.push.files import check_no_paths, published_files, without_paths


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "/models/Base"}')
    (tmp_path / "moe_lora").mkdir()
    (tmp_path / "moe_lora/layer.py").write_text("x = 1")
    return tmp_path


def test_files_are_published_by_an_allow_list(folder):
    for name in (
        "optimizer.pt",
        "trainer_state.json",
        "predictions.jsonl",
        "config.yaml",
        "random-0.json",
        "train.parquet",
    ):
        (folder / name).write_text("private")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/adapter_model.safetensors").write_bytes(b"other")
    files, left = published_files(folder)
    assert [file.path for file in files] == ["adapter_config.json", "adapter_model.safetensors", "moe_lora/layer.py"]
    assert files[1].bytes == 7
    assert len(left) == 7


def test_links_and_folders_without_weights_are_refused(folder):
    (folder / "README.md").symlink_to(folder / "adapter_config.json")
    with pytest.raises(ExportError, match="a link"):
        published_files(folder)
    (folder / "README.md").unlink()
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ExportError, match="no weights in it"):
        published_files(folder)


def test_a_path_of_this_machine_stops_the_push_until_it_is_replaced(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/home/me/models/Base"}')
    files, _ = published_files(folder)
    with pytest.raises(ExportError, match=r"adapter_config\.json: contains '/home/me/models/Base'"):
        check_no_paths(folder, files, [])
    without_paths(folder, {"/home/me/models/Base": "Owner/Base"})
    check_no_paths(folder, published_files(folder)[0], ["/home/me"])
    assert json.loads((folder / "adapter_config.json").read_text()) == {"base_model_name_or_path": "Owner/Base"}


def test_private_texts_are_found_in_every_text_file(folder):
    (folder / "README.md").write_text("trained on secret-rows")
    files, _ = published_files(folder)
    with pytest.raises(ExportError, match="contains 'secret-rows'"):
        check_no_paths(folder, files, ["secret-rows"])


@pytest.mark.parametrize("text", ["https://huggingface.co/home/x", "a/data/b", "<|/tmp|>"])
def test_addresses_are_no_paths(folder, text):
    (folder / "README.md").write_text(text)
    check_no_paths(folder, published_files(folder)[0], [])
