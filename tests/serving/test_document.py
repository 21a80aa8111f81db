"""The OpenAPI document holds: what fits it, and what does not, is answered as it says (schemathesis)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from served import Echo
from starlette.testclient import TestClient

from intervalchange.serving.app import create_app
from intervalchange.serving.limits import Limits

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
EXAMPLES = 10
"""Of each operation."""
FEW = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_the_document_says(mode: str) -> None:
    app = create_app(Echo(), "echo", Limits(readers=1), loopback=False)
    checks = schemathesis.checks.load_all_checks() or schemathesis.checks
    # Random bytes fit the document and are no film: that a request which fits is accepted cannot be asked for.
    excluded = [checks.positive_data_acceptance]
    asked = []
    with TestClient(app):
        document = schemathesis.openapi.from_asgi("/openapi.json", app)
        for found in document.get_all_operations():
            operation = found.ok()
            if mode == "negative" and not operation.body:
                continue  # There is nothing in it that could be wrong.

            @FEW
            @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
            def answered(case: Any) -> None:
                case.call_and_validate(excluded_checks=excluded)

            answered()
            asked.append(operation.label)
    assert len(asked) == (9 if mode == "positive" else 5)
