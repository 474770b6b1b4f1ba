import json
import math

import pytest

from tests.unit.serve.conftest import IMAGE, LIMIT


def read(http, image=IMAGE, **fields):
    return http.post("/v1/read", files={"file": ("x.png", image)}, data=fields)


def test_an_image_becomes_latex_with_its_tokens_and_confidence(http):
    told = read(http).json()

    assert set(told) == {
        *("latex", "raw", "mathml", "mathml_problem", "confidence", "tokens", "stop", "milliseconds", "model")
    }
    assert told["model"] == "tuned"
    assert "".join(token["text"] for token in told["tokens"]) == told["raw"]
    assert 0 < len(told["tokens"]) <= LIMIT
    together = math.prod(token["probability"] for token in told["tokens"])
    assert told["confidence"] == pytest.approx(math.sqrt(together), abs=1e-4)
    assert told["stop"] == "length"


def test_a_model_without_calibration_has_no_confidence(http):
    assert read(http, model="base").json()["confidence"] is None


def test_tokens_come_one_by_one_and_the_whole_at_the_end(http):
    whole = read(http, model="base").json()
    with http.stream("POST", "/v1/read", files={"file": IMAGE}, data={"model": "base", "stream": "true"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]

    assert events[:-1] == whole["tokens"]
    assert events[-1]["done"] | {"milliseconds": 0} == whole | {"milliseconds": 0}


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"max_tokens": "10000"}, 422, "max_tokens"),
        ({"max_tokens": "many"}, 422, "max_tokens"),
        ({"temperature": "nan"}, 422, "temperature"),
        ({"temperature": "-1"}, 422, "temperature"),
        ({"question": "x" * 9_000}, 422, "question"),
        ({"model": "../nano"}, 404, "model"),
    ],
)
def test_a_wrong_field_is_named(http, fields, status, param):
    answer = read(http, **fields)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_without_a_file_the_field_is_named(http):
    answer = http.post("/v1/read", data={"model": "base"})

    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "file"


def test_a_file_is_never_opened_by_its_name(http):
    answer = http.post("/v1/read", files={"file": ("../../../etc/passwd", b"")})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_image")
