"""The OpenAPI document holds: whatever fits it, or just does not, is answered as it says (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from served import Echo
from starlette.testclient import TestClient

from intervalchange.serving.app import create_app
from intervalchange.serving.limits import Limits

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@pytest.fixture(scope="module")
def document() -> Iterator[object]:
    app = create_app(Echo(), "echo", Limits(readers=1), loopback=False)
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


operations = schemathesis.pytest.from_fixture("document")


@pytest.mark.slow
@operations.parametrize()
@settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: object) -> None:
    # Random bytes fit the document and are still no film: that a request which fits is accepted cannot be asked for.
    case.call_and_validate(excluded_checks=[schemathesis.checks.positive_data_acceptance])  # type: ignore[attr-defined]
