import pytest

from texlens.serve.conversation import conversation_of, refuse_unknown
from texlens.serve.errors import ApiError
from texlens.serve.schemas import ChatRequest

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def body(*messages, **fields) -> ChatRequest:
    return ChatRequest.model_validate({"messages": list(messages), **fields})


def user(*parts) -> dict:
    return {"role": "user", "content": list(parts)}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def test_texts_of_a_role_are_joined():
    request = body({"role": "system", "content": "Be brief."}, user(text("What"), IMAGE, text(" "), text("is it?")))
    conversation = conversation_of(request)
    assert (conversation.prompt, conversation.system) == ("What\nis it?", "Be brief.")
    assert conversation.image_url == IMAGE["image_url"]["url"]


def test_without_text_the_prompt_is_left_to_the_model():
    assert conversation_of(body(user(IMAGE))).prompt is None


@pytest.mark.parametrize("count", [0, 2])
def test_other_numbers_of_images_are_refused(count):
    with pytest.raises(ApiError, match=f"{count} images; send one"):
        conversation_of(body(user(text("x"), *[IMAGE] * count)))


def test_earlier_answers_are_refused():
    with pytest.raises(ApiError, match="earlier answers are not supported"):
        conversation_of(body(user(IMAGE), {"role": "assistant", "content": "x"}))


@pytest.mark.parametrize("fields", [{"tools": []}, {"user": "me"}, {"frequency_penalty": 0}, {"logit_bias": None}])
def test_fields_that_change_nothing_pass(fields):
    refuse_unknown(body(user(IMAGE), **fields))


@pytest.mark.parametrize(
    ("fields", "reason"), [({"tools": [1]}, "tools: not supported here"), ({"bannana": 1}, "bannana: not known")]
)
def test_fields_that_would_change_the_answer_are_refused(fields, reason):
    with pytest.raises(ApiError, match=reason):
        refuse_unknown(body(user(IMAGE), **fields))
