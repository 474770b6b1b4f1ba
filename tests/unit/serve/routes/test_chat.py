"""OpenAI's own client against the server."""

import json
import math

import openai
import pytest

from tests.unit.serve.conftest import LIMIT, messages
from texlens.inference.scheduling.job import GenerationJob


def test_models_are_listed_with_the_default_first(client):
    assert [model.id for model in client.models.list()] == ["tuned", "base"]


def test_prompt_is_answered(client):
    answer = client.chat.completions.create(model="base", messages=messages())

    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "length"
    assert answer.usage.completion_tokens == LIMIT
    assert answer.usage.prompt_tokens > LIMIT
    assert answer.model == "base"


def test_adapter_and_base_give_different_answers(client):
    def content(model):
        return client.chat.completions.create(model=model, messages=messages()).choices[0].message.content

    assert content("tuned") != content("base")
    assert content("tuned") == content("tuned")


def test_stream_gives_the_text_of_the_complete_answer(client):
    complete = client.chat.completions.create(model="base", messages=messages())
    stream = client.chat.completions.create(
        model="base", messages=messages(), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == complete.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage == complete.usage


def test_log_probabilities_have_alternatives(client):
    answer = client.chat.completions.create(model="base", messages=messages(), logprobs=True, top_logprobs=3)

    tokens = answer.choices[0].logprobs.content
    assert len(tokens) <= LIMIT
    assert (
        b"".join(bytes(token.bytes) for token in tokens).decode("utf-8", "replace") == answer.choices[0].message.content
    )
    for token in tokens:
        most_probable = token.top_logprobs[0]
        assert (token.bytes, token.logprob) == (most_probable.bytes, most_probable.logprob)
        assert sum(math.exp(other.logprob) for other in token.top_logprobs) <= 1 + 1e-6
        assert len(token.top_logprobs) == 3


def test_several_answers_differ_and_a_seed_repeats_them(client):
    def texts(seed):
        drawn = client.chat.completions.create(
            model="base", messages=messages(), n=3, temperature=1.5, top_p=0.9, seed=seed, max_tokens=8
        )
        return [choice.message.content for choice in drawn.choices]

    first = texts(1)
    assert len(set(first)) > 1
    assert texts(1) == first
    assert texts(2) != first


def test_stop_string_ends_the_text_before_it(client):
    complete = client.chat.completions.create(model="base", messages=messages()).choices[0].message.content
    stop = complete[4:6]
    answer = client.chat.completions.create(model="base", messages=messages(), stop=[stop, "never"]).choices[0]

    assert answer.message.content == complete[: complete.index(stop)]
    assert answer.finish_reason == "stop"


def test_max_tokens_cuts(client):
    answer = client.chat.completions.create(model="base", messages=messages(), max_completion_tokens=3)

    assert answer.usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("error", "status", "code", "change"),
    [
        (openai.NotFoundError, 404, "model_not_found", {"model": "gpt"}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"max_tokens": 100_000}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"max_tokens": 0}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"temperature": 3}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"temperature": "hot"}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"n": 1000}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"stop": "x" * 201}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"stop": ["x" * 201]}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"stop": ["a", "b", "c", "d", "e"]}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"stop": "x" * 1_000_000}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"seed": -1}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"seed": 10**30}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"model": "x" * 300}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"extra_body": {"min_p": 2}}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"extra_body": {"top_k": -1}}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"extra_body": {"repetition_penalty": 0}}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"extra_body": {f"x{n}": None for n in range(40)}}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"messages": messages() * 17}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"top_logprobs": 2}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"frequency_penalty": 1}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"extra_body": {"bannana": 1}}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"messages": []}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"messages": [{"role": "user", "content": "hello"}]}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"messages": messages() + messages()}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"messages": messages(text="word " * 10_000)}),
        (openai.UnprocessableEntityError, 422, "invalid_value", {"messages": messages(text="<|image_pad|>" * 3)}),
        (openai.BadRequestError, 400, "bad_image", {"messages": messages("data:image/png;base64,@@@")}),
        (openai.BadRequestError, 400, "bad_image", {"messages": messages("data:image/png;base64,aGVsbG8=")}),
        (openai.BadRequestError, 400, "bad_image", {"messages": messages("data:image/png")}),
        (openai.BadRequestError, 400, "bad_image", {"messages": messages("file:///etc/passwd")}),
        (openai.BadRequestError, 400, "bad_image", {"messages": messages("/etc/passwd")}),
        (openai.BadRequestError, 400, "bad_image", {"messages": messages("../../etc/passwd")}),
        (openai.BadRequestError, 400, "bad_image", {"messages": messages("https://example.com/x.png")}),
    ],
)
def test_bad_request_is_refused_with_a_reason(client, error, status, code, change):
    with pytest.raises(error) as caught:
        client.chat.completions.create(**({"model": "base", "messages": messages()} | change))

    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert "\n" not in caught.value.body["message"]
    assert client.chat.completions.create(model="base", messages=messages(), max_tokens=1).choices


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages.0.content",
            'input should be a valid list; send a text, or a list of parts such as {"type": "text", "text": "..."}',
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
            "messages.0.content.0",
            'the type of a part is "text" or "image_url"',
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages.0.content.0",
            'the type of a part is "text" or "image_url"',
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages.0.content.0.text",
            "it is missing; send a text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "data:x"}]}]},
            "messages.0.content.0.image_url",
            'send an object such as {"url": "data:image/png;base64,..."}',
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
            "messages.0.content.0.image_url.url",
            "send a data URL of the image, such as data:image/png;base64,...",
        ),
        ({"messages": [{"content": "x"}]}, "messages.0.role", "it is missing; send system, developer, user or"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "it is missing; send a text, or a list of parts"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "5 entries; send at most 4"),
        ({"stop": ["a", 5]}, "stop.1", "input should be a valid string; send a text, or a list of at most 4"),
        ({"stop": 5}, "stop", "send a text, or a list of at most 4"),
        ({"messages": messages() * 17}, "messages", "17 entries; send at most 16"),
    ],
)
def test_malformed_field_is_named_with_what_to_send(http, change, param, message):
    error = http.post("/v1/chat/completions", json={"model": "base", "messages": messages()} | change).json()["error"]

    assert error["param"] == param
    assert error["message"].startswith(f"{param}: ")
    assert message in error["message"]
    assert "constrained" not in error["message"]


def test_answer_says_whether_it_is_a_formula(http):
    def choice(**fields):
        body = {"model": "base", "messages": messages()} | fields
        return http.post("/v1/chat/completions", json=body).json()["choices"][0]

    free, constrained = choice(), choice(grammar=True)
    assert (free["reading"]["valid"], free["reading"]["confidence"]) == (False, 0.0)
    assert free["reading"]["problem"]
    assert (constrained["reading"]["valid"], constrained["reading"]["problem"]) == (True, None)
    assert constrained["message"]["content"]
    assert choice(model="tuned", grammar=True)["reading"]["confidence"] is not None


def test_clean_up_is_reported_and_can_be_turned_off(http, monkeypatch):
    monkeypatch.setattr(GenerationJob, "text", "The LaTeX is: $x^2$")
    answers = [
        http.post("/v1/chat/completions", json={"model": "base", "messages": messages(), "clean": clean}).json()
        for clean in (True, False)
    ]
    cleaned, untouched = (answer["choices"][0] for answer in answers)
    assert cleaned["message"]["content"] == untouched["message"]["content"] == "The LaTeX is: $x^2$"
    assert (cleaned["reading"]["latex"], cleaned["reading"]["removed"]) == ("x^2", ["prose", "math delimiters"])
    assert (untouched["reading"]["valid"], untouched["reading"]["confidence"]) == (False, 0.0)


def test_last_chunk_of_a_stream_says_whether_the_answer_is_a_formula(http):
    body = {"model": "base", "messages": messages(), "stream": True, "grammar": True}
    lines = http.post("/v1/chat/completions", json=body).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    readings = [chunk["choices"][0]["reading"] for chunk in chunks if "reading" in chunk["choices"][0]]
    assert [reading["valid"] for reading in readings] == [True]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_fields_that_change_nothing_are_accepted(client):
    answer = client.chat.completions.create(
        model="base", messages=messages(), max_tokens=1, frequency_penalty=0, tools=[], user="me", tool_choice="auto"
    )

    assert answer.choices


def test_one_model_is_described(client):
    model = client.models.retrieve("tuned")

    assert (model.id, model.parent, model.prompt, model.calibrated) == ("tuned", "base", "Read this.", True)
    with pytest.raises(openai.NotFoundError, match="'gpt' is not served here; there are tuned, base"):
        client.models.retrieve("gpt")


def test_min_p_top_k_and_repetition_penalty_reach_the_model(client):
    def content(**fields):
        answer = client.chat.completions.create(
            model="base", messages=messages(), temperature=fields.pop("temperature", 2), extra_body=fields
        )
        return answer.choices[0].message.content

    greedy = content(temperature=0)
    assert content(top_k=1) == content(min_p=1.0) == greedy
    assert content(temperature=0, repetition_penalty=10.0) != greedy
    assert content(temperature=1e-40) == greedy
