"""Requests that are not admitted."""

import httpx
import pytest

from tests.unit.serve.conftest import IMAGE, serving, tiny_scheduler
from texlens.serve.settings import ServeSettings


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture(scope="module")
def locked():
    with tiny_scheduler() as scheduler, serving(scheduler, ServeSettings(api_key="ключ-1", timeout_s=0.05)) as address:
        yield address


def test_wrong_key_is_refused_before_the_body_is_read(locked):
    with httpx.Client(base_url=locked, timeout=300) as http:
        for headers in ({}, {"Authorization": "Bearer key"}, {"Authorization": b"Bearer \xff"}):
            assert code(http.get("/v1/models", headers=headers)) == (401, "invalid_api_key")
        correct = {"Authorization": "Bearer ключ-1".encode()}
        assert http.get("/v1/models", headers=correct).status_code == 200
        assert http.get("/healthz").status_code == 200


def test_answer_that_takes_too_long_gets_504(locked):
    correct = {"Authorization": "Bearer ключ-1".encode()}
    with httpx.Client(base_url=locked, timeout=300, headers=correct) as http:
        assert code(http.post("/v1/read", files={"file": IMAGE}, data={"max_tokens": "2000"})) == (
            504,
            "generation_timeout",
        )
