"""A port that is in use is noticed before a model is loaded."""

import socket

import pytest


@pytest.mark.parametrize("command", [("serve", "nano"), ("ui",)])
def test_a_used_port_is_refused_before_a_model_is_loaded(texlens, command, monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("texlens.inference.scheduling.scheduler.open_scheduler", loaded)
    monkeypatch.setattr("texlens.inference.open.open_model", loaded)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = texlens(*command, "--port", other.getsockname()[1])
    assert done.code == 2
    assert "can't listen there" in done.complaint
    assert done.complaint.endswith("choose another --port or --host")
