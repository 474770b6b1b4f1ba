import pytest

from texlens.core.errors import ConfigError
from texlens.planner.gpus import find_gpu, known_gpus


def test_every_gpu_has_a_unique_name_and_a_source():
    names = [gpu.name for gpu in known_gpus()]
    assert len(set(names)) == len(names)
    assert {"h200", "h100", "a100-80g", "a100-40g", "l40s", "a10", "l4", "t4", "rtx4090", "rtx3090"} < set(names)
    assert all(gpu.source for gpu in known_gpus())


def test_misspelt_gpu_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean rtx4090"):
        find_gpu("rtx409")


def test_auto_without_a_gpu_gives_the_remedy(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="name one, such as --gpu rtx4090"):
        find_gpu("auto")
