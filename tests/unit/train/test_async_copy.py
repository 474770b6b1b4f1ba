import torch

from texlens.train.async_copy import Beside, tensors_of


def test_every_tensor_of_a_batch_is_found():
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    batch = {
        "packs": [{"ids": one, "rows": ["7"], "new_images": [("key", 0, 4)]}, {"cached_features": two}],
        "pair": (three, None),
    }
    assert [len(tensor) for tensor in tensors_of(batch)] == [1, 2, 3]


def test_without_a_gpu_a_copy_is_what_it_was():
    batch = {"ids": torch.ones(2)}
    assert Beside(torch.device("cpu"))(lambda: batch) is batch
