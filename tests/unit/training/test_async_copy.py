import torch

from texlens.training.async_copy import CopyStream, tensors_of


def test_tensors_of_finds_every_tensor_of_a_batch():
    ids, features, mask = torch.ones(1), torch.ones(2), torch.ones(3)
    batch = {
        "packs": [{"ids": ids, "rows": ["7"], "new_images": [("key", 0, 4)]}, {"cached_features": features}],
        "pair": (mask, None),
    }
    assert [len(tensor) for tensor in tensors_of(batch)] == [1, 2, 3]


def test_without_a_gpu_the_copy_is_called_directly():
    batch = {"ids": torch.ones(2)}
    assert CopyStream(torch.device("cpu"))(lambda: batch) is batch
