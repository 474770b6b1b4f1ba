"""Metrics and health."""

from tests.unit.serve.conftest import read


def test_metrics_and_health_are_there(http):
    read(http)
    text = http.get("/metrics").text

    assert 'texlens_requests_total{path="/v1/read",status="200"}' in text
    assert "texlens_tokens_total" in text
    assert (http.get("/healthz").status_code, http.get("/readyz").status_code) == (200, 200)
