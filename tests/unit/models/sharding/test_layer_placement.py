import pytest
import torch

from tests.fixtures.placed_reading import read_as_whole, read_placed, read_whole
from tests.fixtures.pretended_devices import PretendedDevices
from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.unit.models.packed.test_nf4 import save_wide
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError
from texlens.models.load import load_model
from texlens.models.sharding.layer_placement import HEAD, ROTARY, part_sizes, place_parts, placement_of

GIB = 2**30
SIZES = {"model.visual": GIB, "model.language_model.embed_tokens": GIB, "a": 3 * GIB, "b": 3 * GIB, "lm_head": 0}


def test_parts_fill_gpus_in_order_and_in_proportion():
    placed = place_parts(SIZES, [5 * GIB, 5 * GIB])
    assert [placed[part] for part in ("model.visual", "a", "b")] == [0, 0, 1]
    assert placed[HEAD] == placed[ROTARY] == 0


def test_gpu_with_more_free_memory_gets_more():
    assert list(place_parts(SIZES, [2 * GIB, 10 * GIB]).values())[:4] == [0, 1, 1, 1]


def test_too_little_memory_is_reported():
    with pytest.raises(ConfigError, match=r"the weights take 8.0 GiB, and the GPUs of this machine have 6.8 free"):
        place_parts(SIZES, [4 * GIB, 4 * GIB])


def test_sizes_are_those_of_the_model_in_memory(tmp_path):
    write_tiny_checkpoint(tmp_path, "qwen3_vl_moe")
    model = load_model(tmp_path)
    sizes = part_sizes(tmp_path, 4)
    assert sum(sizes.values()) == sum(part.nbytes for part in model.parameters())
    layer = model.model.language_model.layers[1]
    assert sizes["model.language_model.layers.1"] == sum(part.nbytes for part in layer.parameters())


@pytest.mark.parametrize(("quantize", "linear", "stacks"), [("fp8", 2, 1), ("nf4", 0.5625, 0.5625), ("int8", 1, 1)])
def test_matrices_of_decoder_layers_take_the_bytes_of_quantized_numbers(tmp_path, quantize, linear, stacks):
    write_tiny_checkpoint(tmp_path, "qwen3_vl_moe")
    layer = load_model(tmp_path).model.language_model.layers[1]
    expected = sum(
        part.numel() * (stacks if ".experts." in name else linear if name.endswith("_proj.weight") else 4)
        for name, part in layer.named_parameters()
    )
    sizes, whole = part_sizes(tmp_path, 4, quantize), part_sizes(tmp_path, 4)
    assert sizes["model.language_model.layers.1"] == pytest.approx(expected, rel=1e-3)
    assert sizes["model.visual"] == whole["model.visual"]


def test_quantized_mixture_is_filled_part_by_part_where_each_belongs(tmp_path):
    save_wide(tmp_path, "qwen3_vl_moe")
    settings = QuantizeSettings(quantize="fp8")
    numbers = place_parts(part_sizes(tmp_path, 4, "fp8"), [GIB, GIB])
    assert {*numbers.values()} == {0, 1}
    placed = load_model(tmp_path, quantize=settings, placement=dict.fromkeys(numbers, "cpu"))
    whole = load_model(tmp_path, quantize=settings)
    assert set(placed.hf_device_map) == set(numbers)
    for part, expected in zip(placed.buffers(), whole.buffers(), strict=True):
        assert torch.equal(part.view(torch.uint8), expected.view(torch.uint8))


def test_cpu_has_no_placement(tmp_path):
    assert placement_of(tmp_path, torch.device("cpu"), 4) is None


def test_texts_from_layers_on_two_devices_are_those_of_one(tmp_path, monkeypatch):
    write_tiny_checkpoint(tmp_path / "base", "qwen3_vl")
    whole = read_whole(tmp_path / "base")
    placed, moves, current_gpus = read_placed(tmp_path / "base", monkeypatch)
    assert read_as_whole(whole, placed)
    assert moves > 16
    assert {*current_gpus} == {0, 1}
    assert current_gpus[-1] == 0


def test_pretended_devices_refuse_what_gpus_refuse():
    with PretendedDevices():
        first, second = torch.ones(2).to("cuda:0"), torch.ones(2, device="cuda:1")
        assert (first.to(second.device) + second).device == torch.device("cuda:1")
        with pytest.raises(RuntimeError, match="one device"):
            first + second
        with pytest.raises(RuntimeError, match="one device"):
            first.index_select(0, torch.tensor([0]))
