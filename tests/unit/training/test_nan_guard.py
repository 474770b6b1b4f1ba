import pytest
import torch

from texlens.core.errors import RunError
from texlens.training.nan_guard import NanGuard


def check(guard, losses, rows, step, optimizer, others=False):
    is_bad = ~torch.isfinite(torch.stack(losses))
    guard.check(is_bad, is_bad.any() | others, rows, step, optimizer)


def test_nan_loss_names_the_rows_of_its_pack_only():
    losses = [torch.tensor(1.0), torch.tensor(float("nan"))]
    with pytest.raises(RunError) as caught:
        check(NanGuard(), losses, [["a"], ["b", "c"]], 7, torch.optim.SGD([torch.zeros(1)]))
    assert str(caught.value).startswith(
        "step 7: the loss is NaN or Inf in the pack of rows b, c; the step was not taken."
    )


def test_at_most_eight_rows_are_named():
    rows = [[str(number) for number in range(20)]]
    with pytest.raises(RunError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, …;"):
        check(NanGuard(), [torch.tensor(float("inf"))], rows, 1, torch.optim.SGD([torch.zeros(1)]))


def test_finite_losses_pass():
    check(NanGuard(), [torch.tensor(1.0)], [["a"]], 1, torch.optim.SGD([torch.zeros(1)]))


class CompletedEvent:
    def synchronize(self) -> None:
        pass


def test_flags_of_the_last_step_raise_in_flush():
    guard = NanGuard()
    guard._pending.append((torch.tensor([True, False, True]), CompletedEvent(), 9, [["a"], ["b"]]))
    with pytest.raises(RunError, match="step 9: the loss is NaN or Inf in the pack of rows b;"):
        guard.flush()
    guard.flush()


class TwoProcesses:
    """Two processes, of which this one has no bad pack."""

    def all_gather(self, packs):
        return [packs, [["x", "y"]]]


def test_bad_pack_of_another_process_stops_this_one_and_is_named():
    with pytest.raises(RunError, match="step 3: the loss is NaN or Inf in the pack of rows x, y;"):
        check(NanGuard(TwoProcesses()), [torch.tensor(1.0)], [["a"]], 3, torch.optim.SGD([torch.zeros(1)]), others=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_the_step_is_skipped_and_reported_one_step_later():
    weight = torch.ones(3, device="cuda", requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    guard = NanGuard()
    weight.grad = torch.full_like(weight, float("nan"))
    check(guard, [torch.tensor(float("nan"), device="cuda")], [["a"]], 1, optimizer)
    optimizer.step()
    assert weight.tolist() == [1, 1, 1]
    with pytest.raises(RunError, match="rows a"):
        check(guard, [torch.tensor(1.0, device="cuda")], [["b"]], 2, optimizer)
