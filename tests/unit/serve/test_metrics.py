"""Metrics and health."""

from tests.unit.serve.conftest import IMAGE


def read(http, image=IMAGE, **more):
    return http.post("/v1/read", files={"file": image}, data={"max_tokens": "1"}, **more)


def test_metrics_and_health_are_there(http):
    read(http)
    text = http.get("/metrics").text

    assert 'texlens_requests_total{path="/v1/read",status="200"}' in text
    assert "texlens_tokens_total" in text
    assert (http.get("/healthz").status_code, http.get("/readyz").status_code) == (200, 200)
