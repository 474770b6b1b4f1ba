import pytest
import torch

from tests.fixtures.drawn_images import drawn
from texlens.data.sample import LazyImage
from texlens.inputs.feature_cache import FeatureStore


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    return FeatureStore(tmp_path / "features", 2, 3, torch.bfloat16)


def features_of(tokens: int, value: float = 1.0) -> torch.Tensor:
    return torch.full((2, tokens, 3), value, dtype=torch.bfloat16)


def test_the_room_still_needed_is_reckoned_from_the_rows(store):
    from texlens.data.geometry import ImageGeometry
    from texlens.data.sample import Sample

    images = [LazyImage.from_bytes(drawn(64, 64, number % 2)) for number in range(4)]
    rows = [Sample(str(number), image, "x") for number, image in enumerate(images)]
    geometry = ImageGeometry(patch_size=16, min_pixels=64 * 64)
    assert store.missing_bytes(rows, geometry) == 2 * 4 * 2 * 3 * 2
    store.write({store.key(images[0]): features_of(4)})
    assert store.missing_bytes(rows, geometry) == 1 * 4 * 2 * 3 * 2
    assert store.free_bytes() > 0
