"""Parts of a packed step never make the host wait for the GPU; torch's own watch over synchronising calls says so."""

import pytest
import torch

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from texlens.kernels.loss import choose_chunk_loss, label_row_loss
from texlens.models.packed.forward import pack_layout, packed_forward
from texlens.train.guard import NanGuard
from texlens.train.trial import small_pack

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.fixture
def waiting_is_an_error():
    def watch():
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")

    yield watch
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_tower_reads_a_pack_without_waiting(family, waiting_is_an_error):
    model, processor = tiny_model(family)
    model = model.to("cuda", torch.bfloat16)
    forward = packed_forward(model, processor.geometry)
    layout = pack_layout(model.config, processor, padded=True)
    pack = small_pack(processor.geometry, layout, torch.device("cuda"))
    forward.image_features(pack)
    waiting_is_an_error()
    forward.image_features(pack)


@pytest.mark.parametrize("form", ["plain", "triton"])
def test_the_loss_is_taken_without_waiting(form, waiting_is_an_error):
    hidden = torch.randn(300, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(1000, 64, device="cuda", dtype=torch.bfloat16)
    labels = torch.arange(300, device="cuda")
    options = {"chunk": 128, "chunk_loss": choose_chunk_loss(form)}
    label_row_loss(hidden, head, labels, **options).backward()
    waiting_is_an_error()
    label_row_loss(hidden, head, labels, **options).backward()


def test_losses_are_looked_at_without_waiting(waiting_is_an_error):
    weight = torch.zeros(4, device="cuda", requires_grad=True)
    guard, optimizer = NanGuard(), torch.optim.AdamW([weight], fused=True)
    losses = [torch.ones((), device="cuda")]
    guard.check(losses, [["1"]], 1, optimizer)
    waiting_is_an_error()
    guard.check(losses, [["2"]], 2, optimizer)
    guard.read()
