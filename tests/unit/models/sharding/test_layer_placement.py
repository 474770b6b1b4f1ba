import pytest
import torch

from tests.fixtures.tiny_models import write_tiny_checkpoint
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


def test_cpu_has_no_placement(tmp_path):
    assert placement_of(tmp_path, torch.device("cpu"), 4) is None
