from types import SimpleNamespace

import pytest

from texlens.core.errors import ConfigError, ExportError
from texlens.exporting.push.hubs import explained, find_uploader


class RefusedError(Exception):
    response = SimpleNamespace(status_code=403)


def test_errors_name_the_remedy_and_hide_the_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with (
        pytest.raises(ExportError, match="check that HF_TOKEN may write to me/x") as caught,
        explained("me/x", "huggingface", "HF_TOKEN"),
    ):
        raise RefusedError("no write for hf_secret")
    assert "hf_secret" not in str(caught.value)


def test_unknown_hubs_and_missing_packages_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="choose huggingface, modelscope"):
        find_uploader("gitee")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'texlens\[modelscope\]'"):
        find_uploader("modelscope")
