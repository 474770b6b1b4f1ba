import threading

import pytest

from tests.fixtures.drawn_images import drawn
from tests.unit.serve.conftest import IMAGE, tiny_engine
from texlens.core.errors import ModelError
from texlens.data.sample import LazyImage
from texlens.inference.job import QueueFullError, StoppingError
from texlens.inference.sampling import Sampling

PICTURES = [drawn(*size, seed=row) for row, size in enumerate([(120, 40), (64, 64), (200, 30), (90, 70), (60, 150)])]
LONG = Sampling(300, repetition_guard=False)


def prompt(engine, image=IMAGE, model="base"):
    return engine.prompt(LazyImage.from_bytes(image), model=model)


def finished(jobs):
    for job in jobs:
        assert job.finished.wait(300)
    return jobs


def alone(engine, image, model, limit=20):
    (job,) = finished(engine.submit([prompt(engine, image, model)], model=model, sampling=Sampling(limit)))
    return job.row.tokens


def test_rows_that_join_and_leave_at_any_time_say_what_they_say_alone(engine):
    expected = [
        alone(engine, image, model, 10 + row) for row, image in enumerate(PICTURES) for model in ("base", "tuned")
    ]
    jobs = []
    for row, image in enumerate(PICTURES):
        for model in ("base", "tuned"):
            first = threading.Event()
            jobs += engine.submit(
                [prompt(engine, image, model)],
                model=model,
                sampling=Sampling(10 + row),
                on_token=lambda _, __, first=first: first.set(),
            )
            assert first.wait(300)

    assert [job.row.tokens for job in finished(jobs)] == expected
    assert engine.running == 0


def test_many_rows_share_their_steps(engine):
    before = engine.counts.steps
    finished(engine.submit([prompt(engine)] * 16, model="base", sampling=Sampling(20, repetition_guard=False)))

    assert engine.counts.steps - before < 3 * 20


def test_a_cancelled_row_leaves_and_the_others_stay(engine):
    stays, leaves = engine.submit([prompt(engine)] * 2, model="base", sampling=Sampling(60, repetition_guard=False))
    leaves.cancel()
    finished([stays, leaves])

    assert (leaves.outcome, stays.outcome) == ("cancelled", "done")
    assert len(leaves.row.tokens) < len(stays.row.tokens) == 60


def test_a_full_queue_refuses_and_says_when_to_come_again():
    with tiny_engine(slots=1, max_waiting=2) as engine:
        jobs = engine.submit([prompt(engine)], model="base", sampling=LONG)
        while not engine.running:
            pass
        jobs += engine.submit([prompt(engine)] * 2, model="base", sampling=LONG)
        with pytest.raises(QueueFullError, match="2 requests are waiting") as caught:
            engine.submit([prompt(engine)], model="base")
        assert 1 <= caught.value.retry_after_s <= 60
        for job in jobs:
            job.cancel()


def test_closing_answers_what_was_begun_and_refuses_the_rest():
    engine = tiny_engine()
    jobs = engine.submit([prompt(engine)] * 3, model="base", sampling=Sampling(30, repetition_guard=False))
    engine.close()

    assert [job.outcome for job in jobs] == ["done"] * 3
    with pytest.raises(StoppingError):
        engine.submit([prompt(engine)])


def test_a_batch_that_fails_ends_its_rows_and_the_engine_goes_on(engine, monkeypatch):
    picture = prompt(engine)

    def full(*_, **__):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr("texlens.inference.batching.model_inputs", full)
        (job,) = finished(engine.submit([picture], model="base"))
    assert job.outcome == "failed"
    assert "out of memory" in job.error

    (job,) = finished(engine.submit([picture], model="base"))
    assert job.outcome == "done"


def test_an_unknown_model_is_named_with_those_that_are_there(engine):
    with pytest.raises(ModelError, match="'x' is not served here; there are tuned, base"):
        engine.served("x")
