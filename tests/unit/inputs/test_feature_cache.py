from dataclasses import replace

import numpy as np
import pytest
import torch

from texlens.core.errors import RunError
from texlens.data.sample import LazyImage
from texlens.inputs.example import Example
from texlens.inputs.feature_cache import FeatureStore
from texlens.inputs.pack import PackSpec, build_pack

IMAGE = 9


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    return FeatureStore(tmp_path / "features", 2, 3, torch.bfloat16)


def features_of(tokens: int, value: float = 1.0) -> torch.Tensor:
    return torch.full((2, tokens, 3), value, dtype=torch.bfloat16)


def test_what_is_kept_is_found_under_the_images_own_bytes(store):
    key = store.key(LazyImage.from_bytes(b"one"))
    assert key != store.key(LazyImage.from_bytes(b"two"))
    assert store.read(key, 4) is None
    store.write({key: features_of(4)})
    assert torch.equal(store.read(key, 4), features_of(4))
    assert [path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file()] == [
        f"{key[:2]}/{key}.safetensors"
    ]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"\xff" * 99])
def test_a_damaged_file_counts_as_not_there_and_is_recomputed(store, damage):
    store.write({"ab": features_of(4)})
    store.path("ab").write_bytes(damage(store.path("ab").read_bytes()))
    assert store.read("ab", 4) is None
    store.reconcile([("ab", 0, 4)], list(features_of(4, 7.0)))
    assert torch.equal(store.read("ab", 4), features_of(4, 7.0))


def test_features_of_another_make_count_as_not_there(store):
    store.write({"ab": features_of(4)})
    assert store.read("ab", 5) is None
    assert replace(store, width=4).read("ab", 4) is None
    assert replace(store, dtype=torch.float32).read("ab", 4) is None


def test_an_image_has_the_numbers_that_were_kept_first(store):
    store.write({"ab": features_of(2, 5.0)})
    features = list(torch.cat([features_of(2, 1.0), features_of(1, 2.0), features_of(1, 3.0)], 1))
    store.reconcile([("ab", 0, 2), ("cd", 2, 3), ("cd", 3, 4)], features)
    assert features[0][:, 0].tolist() == [5.0, 5.0, 2.0, 2.0]
    assert torch.equal(store.read("cd", 1), features_of(1, 2.0))


def test_numbers_that_are_none_are_not_kept(store):
    store.reconcile([("ab", 0, 2)], list(features_of(2, float("nan"))))
    assert store.read("ab", 2) is None


def test_a_disk_that_takes_nothing_is_reported_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunError, match=r"takes no more features \(Not a directory\); make room, set TEXLENS_CACHE"):
        FeatureStore(tmp_path / "file", 2, 3, torch.bfloat16).write({"ab": features_of(4)})


def example(name: str, grids, features, keys) -> Example:
    tokens = [rows * columns // 4 for _, rows, columns in grids]
    ids = [token for count in tokens for token in (1, *[IMAGE] * count)]
    fresh_counts = [
        rows * columns for (_, rows, columns), cached in zip(grids, features, strict=True) if cached is None
    ]
    patches = np.zeros((sum(fresh_counts), 12), np.uint8) if fresh_counts else None
    return Example(ids, ids, grids[0], name, patches, tuple(grids[1:]), keys, features)


def test_a_pack_points_at_fresh_and_kept_features():
    first = example("a", [(1, 2, 4), (1, 2, 2)], (features_of(2), None), ("k0", "k1"))
    second = example("b", [(1, 2, 6), (1, 2, 2)], (None, features_of(1, 4.0)), ("k2", "k3"))
    pack = build_pack([first, second], PackSpec(IMAGE, 0, patch_multiple=8))
    assert pack["patches"].shape == (16, 12)
    assert pack["feature_rows"].tolist() == [4, 5, 0, 1, 2, 3, 6]
    assert pack["cached_features"][0, :, 0].tolist() == [1.0, 1.0, 4.0]
    assert pack["new_images"] == [("k1", 2, 3), ("k2", 3, 6)]


def test_a_pack_whose_images_are_all_kept_has_nothing_for_the_tower():
    pack = build_pack(
        [example("a", [(1, 2, 4)], (features_of(2),), ("k",))], PackSpec(IMAGE, 0, window=1, table_side=4)
    )
    assert not {"patches", "cells", "image_ends", "window_ends", "table_index"} & set(pack)
    assert pack["feature_rows"].tolist() == [0, 1]
    assert pack["new_images"] == []
