"""Jobs of a scheduler."""

from tests.unit.serve.conftest import IMAGE
from texlens.data.sample import LazyImage


def prompt(scheduler, image=IMAGE, model="base"):
    return scheduler.prompt(LazyImage.from_bytes(image), model=model)


def finished(jobs):
    for job in jobs:
        assert job.finished.wait(300)
    return jobs
