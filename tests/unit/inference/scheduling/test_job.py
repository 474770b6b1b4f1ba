import pytest

from tests.unit.inference.scheduling.jobs import finished, prompt
from tests.unit.serve.conftest import tiny_scheduler
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.scheduling.job import QueueFullError

LONG = Sampling(300, repetition_guard=False)


def test_cancelled_row_leaves_and_the_others_stay(scheduler):
    stays, leaves = scheduler.submit(
        [prompt(scheduler)] * 2, model="base", sampling=Sampling(60, repetition_guard=False)
    )
    leaves.cancel()
    finished([stays, leaves])

    assert (leaves.outcome, stays.outcome) == ("cancelled", "done")
    assert len(leaves.state.tokens) < len(stays.state.tokens) == 60


def test_full_queue_refuses_with_a_time_to_retry():
    with tiny_scheduler(slots=1, max_waiting=2) as scheduler:
        jobs = scheduler.submit([prompt(scheduler)], model="base", sampling=LONG)
        while not scheduler.running:
            pass
        jobs += scheduler.submit([prompt(scheduler)] * 2, model="base", sampling=LONG)
        with pytest.raises(QueueFullError, match="2 requests are waiting") as caught:
            scheduler.submit([prompt(scheduler)], model="base")
        assert 1 <= caught.value.retry_after_s <= 60
        for job in jobs:
            job.cancel()
