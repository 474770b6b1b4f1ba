import pytest
import torch
from safetensors.torch import load_file

from tests.fixtures.tiny_models import FAMILY_NAMES
from tests.unit.exporting.conftest import write_run
from texlens.adapters.lora import load_adapter
from texlens.core.errors import ExportError
from texlens.core.files import write_json
from texlens.exporting.merged import is_tied, write_merged
from texlens.models.checkpoint import fingerprint, read_config
from texlens.models.load import load_model


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_logits_of_the_merged_checkpoint_are_those_of_the_adapter(family, tmp_path):
    run = write_run(tmp_path, family)
    base, folder = tmp_path / "base", tmp_path / "merged"
    folder.mkdir()
    write_merged(base, run.adapter, folder)
    ids = torch.arange(5, 45)[None]
    adapted = load_adapter(load_model(base, device="cpu"), run.adapter, fingerprint=fingerprint(base))
    with torch.no_grad():
        expected, actual = adapted(input_ids=ids).logits, load_model(folder, device="cpu")(input_ids=ids).logits
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_tensors_that_the_adapter_does_not_change_are_byte_equal(tmp_path):
    run = write_run(tmp_path)
    (tmp_path / "merged").mkdir()
    changed = set(write_merged(tmp_path / "base", run.adapter, tmp_path / "merged"))
    base, merged = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "merged"))
    assert base.keys() == merged.keys()
    assert {name for name in base if not torch.equal(base[name], merged[name])} == changed


def test_a_quantized_base_is_refused(tmp_path):
    run = write_run(tmp_path)
    config = read_config(tmp_path / "base")
    write_json(tmp_path / "base/config.json", {**config, "quantization_config": {"quant_method": "fp8"}})
    with pytest.raises(ExportError, match=r"these weights are fp8.*unquantized checkpoint"):
        write_merged(tmp_path / "base", run.adapter, tmp_path)


@pytest.mark.parametrize(
    ("config", "tied"),
    [
        ({"tie_word_embeddings": True}, True),
        ({"text_config": {"tie_word_embeddings": True}}, True),
        ({"tie_word_embeddings": False, "text_config": {"tie_word_embeddings": True}}, False),
        ({}, False),
    ],
)
def test_a_head_is_tied_as_the_config_states(config, tied):
    assert is_tied(config) is tied


@pytest.mark.parametrize("family", ["qwen3_5", "qwen3_5_moe"])
def test_layers_for_further_tokens_are_carried_byte_for_byte_under_the_hubs_names(family, tmp_path):
    run = write_run(tmp_path, family)
    (tmp_path / "merged").mkdir()
    write_merged(tmp_path / "base", run.adapter, tmp_path / "merged")
    base, merged = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "merged"))
    assert base.keys() == merged.keys()
    further = [name for name in base if name.startswith("mtp.")]
    assert len(further) == 2
    for name in further:
        assert base[name].dtype == merged[name].dtype
        assert torch.equal(base[name], merged[name])
