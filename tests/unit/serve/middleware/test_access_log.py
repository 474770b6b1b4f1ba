"""The log of requests."""

import time


def test_log_holds_no_contents(http, caplog):
    with caplog.at_level("INFO", "texlens.access"):
        http.get("/v1/models", params={"secret": "question"})
        until = time.monotonic() + 300
        while '"path": "/v1/models"' not in caplog.text and time.monotonic() < until:
            time.sleep(0.01)  # it is written after the answer has gone out
    assert '"path": "/v1/models"' in caplog.text
    assert "secret" not in caplog.text
