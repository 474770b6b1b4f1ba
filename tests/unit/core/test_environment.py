import json
import platform

import texlens
from texlens.core.environment import describe_environment


def test_environment_names_versions_and_machine_and_is_json(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    environment = describe_environment()
    assert environment["python"] == platform.python_version()
    assert environment["packages"]["torch"]
    assert environment["packages"]["texlens"] == texlens.__version__
    assert environment["cores"] >= 1
    assert "hf_secret" not in json.dumps(environment)
