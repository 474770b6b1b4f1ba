import pytest
import torch

from texlens.core.errors import RunError
from texlens.train.nan_guard import NanGuard


def check(guard, losses, rows, step, optimizer, others=False):
    bad = ~torch.isfinite(torch.stack(losses))
    guard.check(bad, bad.any() | others, rows, step, optimizer)


def test_a_loss_that_is_no_number_names_its_rows_and_no_others():
    losses = [torch.tensor(1.0), torch.tensor(float("nan"))]
    with pytest.raises(RunError) as told:
        check(NanGuard(), losses, [["a"], ["b", "c"]], 7, torch.optim.SGD([torch.zeros(1)]))
    assert str(told.value).startswith("step 7: the loss is no number in the pack of rows b, c; the step was not taken.")


def test_many_rows_are_cut_short():
    rows = [[str(number) for number in range(20)]]
    with pytest.raises(RunError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, …;"):
        check(NanGuard(), [torch.tensor(float("inf"))], rows, 1, torch.optim.SGD([torch.zeros(1)]))


def test_numbers_pass():
    check(NanGuard(), [torch.tensor(1.0)], [["a"]], 1, torch.optim.SGD([torch.zeros(1)]))


class Arrived:
    def synchronize(self) -> None:
        pass


def test_what_came_over_after_the_last_step_is_told():
    guard = NanGuard()
    guard._coming.append((torch.tensor([True, False, True]), Arrived(), 9, [["a"], ["b"]]))
    with pytest.raises(RunError, match="step 9: the loss is no number in the pack of rows b;"):
        guard.read()
    guard.read()


class Two:
    """Stands for two processes, of which this one has no bad pack."""

    def gather(self, packs):
        return [packs, [["x", "y"]]]


def test_a_pack_of_another_process_stops_this_one_and_is_named():
    with pytest.raises(RunError, match="step 3: the loss is no number in the pack of rows x, y;"):
        check(NanGuard(Two()), [torch.tensor(1.0)], [["a"]], 3, torch.optim.SGD([torch.zeros(1)]), others=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_the_step_is_not_taken_and_told_one_later():
    weight = torch.ones(3, device="cuda", requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    guard = NanGuard()
    weight.grad = torch.full_like(weight, float("nan"))
    check(guard, [torch.tensor(float("nan"), device="cuda")], [["a"]], 1, optimizer)
    optimizer.step()
    assert weight.tolist() == [1, 1, 1]
    with pytest.raises(RunError, match="rows a"):
        check(guard, [torch.tensor(1.0, device="cuda")], [["b"]], 2, optimizer)
