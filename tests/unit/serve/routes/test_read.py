import io
import json
import math
from base64 import b64decode
from dataclasses import replace

import pytest
from PIL import Image, ImageOps

from tests.unit.serve.conftest import IMAGE, LIMIT
from texlens.inference.scheduling.job import GenerationJob
from texlens.inputs.image_preparation import Preparation
from texlens.latex.render.formats import render_png
from texlens.serve.service import TokenStream


def read(http, image=IMAGE, **fields):
    return http.post("/v1/read", files={"file": ("x.png", image)}, data=fields)


def test_image_becomes_latex_with_tokens_and_confidence(http):
    response = read(http).json()

    assert set(response) == {
        *(
            "latex",
            "raw",
            "removed",
            "valid",
            "problem",
            "mathml",
            "mathml_problem",
            "confidence",
            "tokens",
            "stop",
            "milliseconds",
            "model",
            "prepared",
        )
    }
    assert response["model"] == "tuned"
    assert "".join(token["text"] for token in response["tokens"]) == response["raw"]
    assert 0 < len(response["tokens"]) <= LIMIT
    together = math.prod(token["probability"] for token in response["tokens"])
    assert response["confidence"] == (pytest.approx(math.sqrt(together), abs=1e-4) if response["valid"] else 0)
    assert response["stop"] == "length"


@pytest.fixture
def preparing(scheduler, monkeypatch):
    tuned = replace(scheduler.models["tuned"], preparation=Preparation())
    monkeypatch.setitem(scheduler.models, "tuned", tuned)


def test_the_prepared_image_is_given_on_request(http, preparing):
    dark = ImageOps.invert(Image.open(io.BytesIO(render_png("x ^ { 2 } + 1", pixels_per_em=14))).convert("RGB"))
    file = io.BytesIO()
    dark.save(file, "PNG")
    answer = http.post("/v1/prepared", files={"file": file.getvalue()}).json()
    assert (answer["steps"], answer["model"]) == (["inverted"], "tuned")
    shown = Image.open(io.BytesIO(b64decode(answer["image"]))).convert("L")
    assert (shown.size, shown.getpixel((0, 0))) == (dark.size, 255)
    assert read(http, file.getvalue(), model="tuned").json()["prepared"] in (["inverted"], [])
    assert [entry["prepares"] for entry in http.get("/v1/models").json()["data"]] == [True, False]


def test_an_image_that_needs_nothing_or_that_a_model_takes_as_it_is_has_no_prepared_one(http, preparing):
    plain = render_png("x ^ { 2 } + 1", pixels_per_em=14)
    for model in ("tuned", "base"):
        answer = http.post("/v1/prepared", files={"file": plain}, data={"model": model}).json()
        assert answer == {"steps": [], "image": None, "model": model}


@pytest.mark.parametrize(("image", "model", "status"), [(b"no", "tuned", 400), (IMAGE, "other", 404)])
def test_what_can_not_be_prepared_is_refused(http, image, model, status):
    assert http.post("/v1/prepared", files={"file": image}, data={"model": model}).status_code == status


def test_model_without_calibration_has_no_confidence(http):
    response = read(http, model="base", grammar="true").json()
    assert (response["valid"], response["confidence"]) == (True, None)


def test_reading_that_does_not_parse_has_confidence_0_and_the_reason(http):
    response = read(http, model="base").json()
    assert (response["valid"], response["confidence"]) == (False, 0.0)
    assert response["problem"]


def test_grammar_makes_a_reading_valid_at_the_token_limit(http):
    free, constrained = read(http, model="base").json(), read(http, model="base", grammar="true").json()
    assert (free["valid"], constrained["valid"]) == (False, True)
    assert len(constrained["tokens"]) <= LIMIT


def test_clean_up_can_be_turned_off(http, monkeypatch):
    monkeypatch.setattr(GenerationJob, "text", "```latex\nx^2\n```")
    response, untouched = read(http).json(), read(http, clean="false").json()
    assert (response["latex"], response["removed"], response["valid"]) == ("x^2", ["code fence"], True)
    assert (untouched["removed"], untouched["valid"], untouched["confidence"]) == ([], False, 0.0)
    assert untouched["problem"] == "code fence around the formula; clean removes it"


def test_tokens_are_streamed_and_the_complete_answer_follows(http):
    complete = read(http, model="base").json()
    with http.stream("POST", "/v1/read", files={"file": IMAGE}, data={"model": "base", "stream": "true"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]

    assert events[:-1] == complete["tokens"]
    assert events[-1]["done"] | {"milliseconds": 0} == complete | {"milliseconds": 0}


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"max_tokens": "10000"}, 422, "max_tokens"),
        ({"max_tokens": "many"}, 422, "max_tokens"),
        ({"temperature": "nan"}, 422, "temperature"),
        ({"temperature": "-1"}, 422, "temperature"),
        ({"temperature": "1e400"}, 422, "temperature"),
        ({"top_p": "0"}, 422, "top_p"),
        ({"top_p": "1.1"}, 422, "top_p"),
        ({"min_p": "-0.1"}, 422, "min_p"),
        ({"min_p": "inf"}, 422, "min_p"),
        ({"top_k": "-1"}, 422, "top_k"),
        ({"top_k": "9" * 5_000}, 422, "top_k"),
        ({"repetition_penalty": "0"}, 422, "repetition_penalty"),
        ({"max_tokens": "0"}, 422, "max_tokens"),
        ({"prompt": "x" * 9_000}, 422, "prompt"),
        ({"system": "x" * 9_000}, 422, "system"),
        ({"prompt": "<|image_pad|>"}, 422, "prompt"),
        ({"question": "x" * 9_000}, 422, "question"),
        ({"question": "x", "prompt": "y"}, 422, "question"),
        ({"model": "x" * 300}, 422, "model"),
        ({"model": "../nano"}, 404, "model"),
    ],
)
def test_wrong_field_is_named(http, fields, status, param):
    answer = read(http, **fields)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_without_a_file_the_field_is_named(http):
    answer = http.post("/v1/read", data={"model": "base"})

    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "file"


def test_file_is_never_opened_by_its_name(http):
    answer = http.post("/v1/read", files={"file": ("../../../etc/passwd", b"")})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_image")


def test_prompt_has_its_old_name_too(http):
    texts = {name: read(http, **{name: "Is it a tree?"}).json()["raw"] for name in ("prompt", "question")}

    assert texts["prompt"] == texts["question"]
    assert texts["prompt"] != read(http).json()["raw"]


def test_system_prompt_is_read(http):
    assert read(http, system="Answer in French.").json()["raw"] != read(http).json()["raw"]


def test_sampling_fields_reach_the_model(http):
    greedy = read(http, model="base").json()["raw"]
    assert read(http, model="base", temperature="2", top_k="1").json()["raw"] == greedy
    assert read(http, model="base", temperature="2", min_p="1").json()["raw"] == greedy
    assert read(http, model="base", temperature="2", top_p="0.000001").json()["raw"] == greedy
    assert read(http, model="base", repetition_penalty="10").json()["raw"] != greedy
    assert read(http, model="base", temperature="1e-320").json()["raw"] == greedy


def test_default_limit_is_the_model_s_and_not_the_server_s(http):
    assert len(read(http, model="base").json()["tokens"]) <= LIMIT


def test_without_a_stream_only_the_finished_job_goes_through_the_event_loop(http, monkeypatch):
    items = []
    put = TokenStream.put
    monkeypatch.setattr(
        TokenStream, "put", lambda stream, number, item: (items.append(item), put(stream, number, item))
    )
    tokens = read(http, model="base").json()["tokens"]

    assert [type(item) for item in items] == [GenerationJob]
    assert len(tokens) > 1
