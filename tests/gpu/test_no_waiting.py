"""Parts of a packed step never make the host wait for the GPU; torch's own watch over synchronizing calls says so.
Copies run while the GPU computes."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from texlens.kernels.loss.chunked import BACKENDS as LOSS_BACKENDS
from texlens.kernels.loss.chunked import label_row_loss
from texlens.models.bundled import NANO_FOLDER
from texlens.models.load import load_model
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.models.processor import load_processor
from texlens.training.async_copy import CopyStream
from texlens.training.backends.compile_check import small_pack
from texlens.training.nan_guard import NanGuard

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
    layout = pack_spec(model.config, processor, padded=True)
    pack = small_pack(processor.geometry, layout, torch.device("cuda"))
    forward.image_features(pack)
    waiting_is_an_error()
    forward.image_features(pack)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_pack_runs_forward_and_backward_without_waiting(backend, waiting_is_an_error):
    model, processor = load_model(NANO_FOLDER), load_processor(NANO_FOLDER)
    lora = LoraConfig(r=16, target_modules=r".*language_model\..*_proj$", task_type="CAUSAL_LM")
    model = get_peft_model(model, lora).base_model.model
    forward = packed_forward(model, processor.geometry, backend=backend)
    layout = pack_spec(model.config, processor, padded=True)
    pack = small_pack(processor.geometry, layout, torch.device("cuda"))
    for _ in range(2):
        forward.loss(pack).backward()
    waiting_is_an_error()
    forward.loss(pack).backward()


@pytest.mark.parametrize("form", ["reference", "triton"])
def test_the_loss_is_taken_without_waiting(form, waiting_is_an_error):
    hidden = torch.randn(300, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(1000, 64, device="cuda", dtype=torch.bfloat16)
    labels = torch.arange(300, device="cuda")
    options = {"chunk": 128, "chunk_loss": LOSS_BACKENDS[form]}
    label_row_loss(hidden, head, labels, **options).backward()
    waiting_is_an_error()
    label_row_loss(hidden, head, labels, **options).backward()


def test_losses_are_looked_at_without_waiting(waiting_is_an_error):
    weight = torch.zeros(4, device="cuda", requires_grad=True)
    guard, optimizer = NanGuard(), torch.optim.AdamW([weight], fused=True)
    bad, any_bad = torch.zeros(1, dtype=torch.bool, device="cuda"), torch.zeros((), dtype=torch.bool, device="cuda")
    guard.check(bad, any_bad, [["1"]], 1, optimizer)
    waiting_is_an_error()
    guard.check(bad, any_bad, [["2"]], 2, optimizer)
    guard.flush()


def test_copied_batch_is_complete_when_it_is_used(waiting_is_an_error):
    copy = CopyStream(torch.device("cuda", torch.cuda.current_device()))
    busy = torch.randn(4096, 4096, device="cuda")
    host = [torch.full((1 << 22,), float(number)).pin_memory() for number in range(8)]
    sums = []
    waiting_is_an_error()
    for part in host:
        batch = copy(lambda part=part: {"packs": [{"cached_features": part.to("cuda", non_blocking=True)}]})
        busy = (busy @ busy).clamp(-1, 1)
        sums.append(batch["packs"][0]["cached_features"].mean() + 0 * busy[0, 0])
        del batch
    torch.cuda.set_sync_debug_mode("default")
    assert torch.stack(sums).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
