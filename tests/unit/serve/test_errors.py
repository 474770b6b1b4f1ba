import pytest

from texlens.core.errors import SPECIAL_TOKEN, TOO_LARGE, ConfigError, DataError, ModelError
from texlens.inference.scheduling.job import QueueFullError, StoppingError
from texlens.serve.errors import ApiError, api_error, data_api_error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QueueFullError(3, 7), 429, "queue_full"),
        (StoppingError("stopping"), 503, "stopping"),
        (ModelError("no such model"), 404, "model_not_found"),
        (DataError("the special token over the limit"), 400, "bad_request"),
        (DataError("any words", TOO_LARGE), 413, "too_large"),
        (DataError("any words", SPECIAL_TOKEN), 422, "invalid_value"),
        (ConfigError("x"), 500, "internal_error"),
        (RuntimeError("secret path"), 500, "internal_error"),
    ],
)
def test_status_follows_from_type_and_kind_not_from_the_text(error, status, code):
    answer = api_error(error)
    assert (answer.status, answer.code) == (status, code)
    assert "secret" not in answer.message


def test_full_queue_says_when_to_try_again():
    assert api_error(QueueFullError(3, 7)).response.headers["retry-after"] == "7"


def test_image_error_names_its_field_and_a_prompt_error_the_prompt():
    assert data_api_error(DataError("x"), "file", "bad_image").param == "file"
    assert data_api_error(DataError("x", SPECIAL_TOKEN), "file", "bad_image").param == "prompt"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "authentication_error"), (404, "invalid_request_error"), (429, "rate_limit_error"), (500, "server_error")],
)
def test_type_of_an_error_is_openai_s(status, kind):
    assert ApiError(status, "code", "message").body["error"]["type"] == kind


def test_message_is_one_line_without_control_characters():
    assert api_error(DataError("a\n b\x1b[31m")).message == "a b\\x1b[31m"
