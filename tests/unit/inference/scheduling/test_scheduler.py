import threading
from types import SimpleNamespace

import pytest

from tests.fixtures.drawn_images import drawn
from tests.unit.inference.scheduling.jobs import finished, prompt
from tests.unit.serve.conftest import tiny_scheduler
from texlens.core.errors import ModelError
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.scheduling.job import StoppingError
from texlens.inference.scheduling.scheduler import RequestScheduler

PICTURES = [drawn(*size, seed=row) for row, size in enumerate([(120, 40), (64, 64), (200, 30), (90, 70), (60, 150)])]


def single_row(scheduler, image, model, limit=20):
    (job,) = finished(scheduler.submit([prompt(scheduler, image, model)], model=model, sampling=Sampling(limit)))
    return job.state.tokens


def test_rows_that_join_and_leave_at_any_time_give_the_tokens_of_single_rows(scheduler):
    expected = [
        single_row(scheduler, image, model, 10 + row)
        for row, image in enumerate(PICTURES)
        for model in ("base", "tuned")
    ]
    jobs = []
    for row, image in enumerate(PICTURES):
        for model in ("base", "tuned"):
            first = threading.Event()
            jobs += scheduler.submit(
                [prompt(scheduler, image, model)],
                model=model,
                sampling=Sampling(10 + row),
                on_token=lambda _, __, first=first: first.set(),
            )
            assert first.wait(300)

    assert [job.state.tokens for job in finished(jobs)] == expected
    assert scheduler.running == 0


def test_many_rows_share_their_steps(scheduler):
    before = scheduler.counts.steps
    finished(scheduler.submit([prompt(scheduler)] * 16, model="base", sampling=Sampling(20, repetition_guard=False)))

    assert scheduler.counts.steps - before < 3 * 20


def test_close_finishes_running_jobs_and_refuses_new_ones():
    scheduler = tiny_scheduler()
    jobs = scheduler.submit([prompt(scheduler)] * 3, model="base", sampling=Sampling(30, repetition_guard=False))
    scheduler.close()

    assert [job.outcome for job in jobs] == ["done"] * 3
    with pytest.raises(StoppingError):
        scheduler.submit([prompt(scheduler)])


def test_batch_that_fails_ends_its_rows_and_the_scheduler_continues(scheduler, monkeypatch):
    picture = prompt(scheduler)

    def full(*_, **__):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr("texlens.inference.decoding.continuous_batch.model_inputs", full)
        (job,) = finished(scheduler.submit([picture], model="base"))
    assert job.outcome == "failed"
    assert "out of memory" in job.error

    (job,) = finished(scheduler.submit([picture], model="base"))
    assert job.outcome == "done"


def test_unknown_model_is_named_with_the_served_ones(scheduler):
    with pytest.raises(ModelError, match="'x' is not served here; there are tuned, base"):
        scheduler.model("x")


def test_tiny_temperature_does_not_end_the_other_rows(scheduler):
    jobs = scheduler.submit([prompt(scheduler)] * 3, model="base", sampling=Sampling(12, repetition_guard=False))
    jobs += scheduler.submit([prompt(scheduler)], model="base", sampling=Sampling(12, 1e-320, repetition_guard=False))
    finished(jobs)

    assert [job.outcome for job in jobs] == ["done"] * 4
    assert jobs[3].state.tokens == jobs[0].state.tokens, "a temperature near 0 is greedy"


def test_rows_join_many_others_together_unless_they_waited(scheduler):
    (job,) = finished(scheduler.submit([prompt(scheduler)], model="base", sampling=Sampling(2)))
    job.submitted_at = 100.0
    waits = SimpleNamespace(running=48, slots=128, _waiting=[job])
    gathers = RequestScheduler._gathers
    assert gathers(waits, 100.01)
    assert not gathers(waits, 100.06)
    waits._waiting = [job] * 3
    assert not gathers(waits, 100.01)
    waits._waiting, waits.running = [job], 15
    assert not gathers(waits, 100.01)
