"""A doubtful reading: the image is read in another view too, and the surer reading is the answer."""

import threading
from dataclasses import replace

import pytest

from tests.fixtures.drawn_images import drawn
from tests.unit.inference.scheduling.jobs import finished, prompt
from texlens.core.errors import DataError
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.scheduling import scheduler as scheduling
from texlens.inference.scheduling.job import GenerationJob, ServedPrompt

FIRST, SECOND = drawn(120, 40, seed=1), drawn(90, 70, seed=2)
SAMPLING = Sampling(12, repetition_guard=False)


@pytest.fixture
def both(scheduler) -> tuple[ServedPrompt, ServedPrompt]:
    return prompt(scheduler, FIRST), prompt(scheduler, SECOND)


def tokens_of(scheduler, served, **more):
    (job,) = finished(scheduler.submit([served], model="base", sampling=SAMPLING, **more))
    return job.state.tokens


@pytest.mark.parametrize(("surer", "expected"), [("first", 0), ("second", 1)])
def test_the_surer_reading_is_the_answer_and_its_tokens_alone_are_reported(
    scheduler, both, monkeypatch, surer, expected
):
    expected_tokens = [tokens_of(scheduler, served) for served in both]
    assert expected_tokens[0] != expected_tokens[1]
    sure = {tuple(expected_tokens[0]): 0.6 if surer == "first" else 0.1, tuple(expected_tokens[1]): 0.3}
    for name in ("scheduler.sureness", "job.sureness"):
        monkeypatch.setattr(f"texlens.inference.scheduling.{name}", lambda state: sure[tuple(state.tokens)])
    events = []
    served = ServedPrompt(both[0].example, lambda: both[1].example, ("inverted",), ("scaled",))

    (job,) = finished(
        scheduler.submit([served], model="base", sampling=SAMPLING, on_token=lambda _, event: events.append(event))
    )

    assert job.state.tokens == expected_tokens[expected]
    assert len(events) == len(job.state.tokens)
    assert job.steps == (("inverted",), ("scaled",))[expected]


def test_a_sure_reading_is_not_repeated(scheduler, both, monkeypatch):
    expected_tokens = tokens_of(scheduler, both[0])
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.9)
    before = scheduler.counts.prefills
    assert tokens_of(scheduler, ServedPrompt(both[0].example, lambda: both[1].example)) == expected_tokens
    assert scheduler.counts.prefills == before + 1


def test_rows_beside_a_second_reading_keep_their_tokens(scheduler, both, monkeypatch):
    expected_tokens = tokens_of(scheduler, both[1])
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.1)
    jobs = scheduler.submit(
        [ServedPrompt(both[0].example, lambda: both[0].example)] * 3, model="base", sampling=SAMPLING
    )
    jobs += scheduler.submit([replace(both[1])], model="base", sampling=SAMPLING)
    finished(jobs)
    assert jobs[-1].state.tokens == expected_tokens
    assert len({tuple(job.state.tokens) for job in jobs[:3]}) == 1
    assert [job.outcome for job in jobs] == ["done"] * 4


def test_a_row_of_the_same_size_and_prompt_beside_a_second_reading_keeps_its_tokens(scheduler, both, monkeypatch):
    beside = prompt(scheduler, drawn(120, 40, seed=3))
    longer = Sampling(24, repetition_guard=False)
    (single,) = finished(scheduler.submit([beside], model="base", sampling=longer))
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.1)
    jobs = scheduler.submit([beside], model="base", sampling=longer)
    jobs += scheduler.submit([ServedPrompt(both[0].example, lambda: both[0].example)], model="base", sampling=SAMPLING)
    finished(jobs)
    assert [job.outcome for job in jobs] == ["done"] * 2
    assert jobs[0].state.tokens == single.state.tokens


def test_a_second_reading_that_takes_too_long_leaves_the_first_as_the_answer(scheduler, both, monkeypatch):
    expected_tokens = tokens_of(scheduler, both[0])
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.1)
    begin = GenerationJob.begin_second

    def begin_too_late(job, prompt):
        begin(job, prompt)
        job.deadline = 0.0

    monkeypatch.setattr(GenerationJob, "begin_second", begin_too_late)
    events = []
    served = ServedPrompt(both[0].example, lambda: both[1].example)
    (job,) = finished(
        scheduler.submit([served], model="base", sampling=SAMPLING, on_token=lambda _, event: events.append(event))
    )
    assert (job.outcome, job.state.tokens) == ("done", expected_tokens)
    assert len(events) == len(expected_tokens)


def test_a_second_reading_that_fails_leaves_the_first_as_the_answer(scheduler, both, monkeypatch):
    expected_tokens = tokens_of(scheduler, both[0])
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.1)
    prefill = scheduler._batch.prefill

    def fail_on_second(prompts, states):
        if any(example is both[1].example for example in prompts):
            raise RuntimeError("out of memory")
        prefill(prompts, states)

    monkeypatch.setattr(scheduler._batch, "prefill", fail_on_second)
    served = ServedPrompt(both[0].example, lambda: both[1].example)
    (job,) = finished(scheduler.submit([served], model="base", sampling=SAMPLING))
    assert (job.outcome, job.state.tokens) == ("done", expected_tokens)


def test_the_other_view_is_drawn_only_of_a_doubtful_reading_and_others_go_on_meanwhile(scheduler, both, monkeypatch):
    drawn_views, may_end = [], threading.Event()

    def other_view():
        drawn_views.append(1)
        assert may_end.wait(60)
        return both[1].example

    served = ServedPrompt(both[0].example, other_view)
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.9)
    tokens_of(scheduler, served)
    assert not drawn_views

    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.1)
    jobs = scheduler.submit([served], model="base", sampling=SAMPLING)
    tokens_of(scheduler, both[1])
    assert not jobs[0].finished.is_set()
    may_end.set()
    finished(jobs)
    assert (jobs[0].outcome, len(drawn_views)) == ("done", 1)


@pytest.mark.parametrize("ends", ["deadline", "error"])
def test_a_view_that_is_not_drawn_leaves_the_first_reading_as_the_answer(scheduler, both, monkeypatch, ends):
    expected_tokens = tokens_of(scheduler, both[0])
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.1)
    may_end = threading.Event()

    def other_view():
        may_end.wait(60 if ends == "deadline" else 0)
        raise DataError("no view")

    served = ServedPrompt(both[0].example, other_view)
    timeout_s = 1.0 if ends == "deadline" else 60.0
    jobs = finished(scheduler.submit([served], model="base", sampling=SAMPLING, timeout_s=timeout_s))
    may_end.set()
    assert (jobs[0].outcome, jobs[0].state.tokens) == ("done", expected_tokens)


def test_a_cancelled_job_does_not_wait_for_its_other_view(scheduler, both, monkeypatch):
    monkeypatch.setattr(scheduling, "sureness", lambda state: 0.1)
    begun, may_end = threading.Event(), threading.Event()

    def other_view():
        begun.set()
        may_end.wait(60)
        return both[1].example

    jobs = scheduler.submit([ServedPrompt(both[0].example, other_view)], model="base", sampling=SAMPLING)
    assert begun.wait(60)
    jobs[0].cancel()
    finished(jobs)
    may_end.set()
    assert jobs[0].outcome == "cancelled"


def test_tokens_of_an_image_without_another_view_are_reported_as_they_are_made(scheduler, both):
    was_finished = []

    def on_token(_, event):
        was_finished.append(jobs[0].finished.is_set())

    jobs = []
    jobs += scheduler.submit([ServedPrompt(both[0].example)], model="base", sampling=SAMPLING, on_token=on_token)
    finished(jobs)
    assert was_finished == [False] * len(jobs[0].state.tokens)
