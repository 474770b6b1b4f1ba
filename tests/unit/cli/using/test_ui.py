import contextlib
import threading
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from texlens.cli.using.ui import ui
from texlens.core.errors import ConfigError


@pytest.fixture
def served(monkeypatch):
    """What would be served: (model that was opened, application, address)."""
    calls = []

    def open_scheduler(models, **settings):
        assert settings == {"checkpoint": None, "trust_remote_code": False}
        calls.extend(models)
        return contextlib.nullcontext(SimpleNamespace(models={"tuned": None, "base": None}))

    monkeypatch.setattr("texlens.inference.scheduling.scheduler.open_scheduler", open_scheduler)
    monkeypatch.setattr("texlens.serve.app.create_app", lambda scheduler, settings: FastAPI())
    monkeypatch.setattr(
        "texlens.serve.server.serve", lambda app, settings, bound: calls.extend([app, bound.getsockname()])
    )
    return calls


@pytest.fixture
def opened(monkeypatch):
    addresses, happened = [], threading.Event()
    monkeypatch.setattr("webbrowser.open", lambda address: (addresses.append(address), happened.set()))
    return addresses, happened


def test_page_is_served_to_this_machine_only_and_opened(served, opened, capsys):
    ui("runs/nano", port=0, no_browser=False)
    model, app, (host, port) = served
    addresses, happened = opened

    assert happened.wait(300)
    assert addresses == [f"http://127.0.0.1:{port}/"]
    assert (model, host) == ("runs/nano", "127.0.0.1")
    assert (app.url_path_for("page"), app.url_path_for("render")) == ("/", "/ui/render")
    assert f"reading with tuned, base at {addresses[0]}" in capsys.readouterr().err


def test_no_browser_is_opened_with_no_browser(served, opened, capsys):
    ui("nano", port=0, no_browser=True)

    assert opened[0] == []
    assert "http://127.0.0.1:" in capsys.readouterr().err


def test_port_in_use_is_reported(served):
    from texlens.serve.sockets import listening_socket

    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(ConfigError, match="choose another --port"):
            ui("nano", port=taken.getsockname()[1], no_browser=True)
