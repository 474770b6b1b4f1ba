"""schemathesis against the server's OpenAPI description: nothing it sends brings a 5xx or an undescribed answer.

TEXLENS_SCHEMA_EXAMPLES=500 makes it a longer run.
"""

import os

import pytest

from tests.unit.serve.conftest import tiny_scheduler
from texlens.serve.app import create_app
from texlens.serve.settings import ServeSettings

schemathesis = pytest.importorskip("schemathesis")
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

EXAMPLES = int(os.environ.get("TEXLENS_SCHEMA_EXAMPLES", "6"))
MODES = list(schemathesis.GenerationMode)


@pytest.fixture(scope="module")
def schema():
    with tiny_scheduler() as scheduler:
        yield schemathesis.openapi.from_asgi(
            "/openapi.json", create_app(scheduler, ServeSettings(max_tokens=4, hosts=("testserver",)))
        )


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    "path", ["/v1/read", "/v1/chat/completions", "/v1/models", "/v1/models/{model}", "/healthz", "/readyz", "/metrics"]
)
def test_the_description_holds(schema, path, mode):
    operation = next(iter(schema[path].values()))
    if mode is schemathesis.GenerationMode.NEGATIVE and not operation.body:
        pytest.skip("nothing of it can be wrong")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def send(case):
        # whether bytes are an image is not in a schema, so what it holds valid may be refused
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    send()
