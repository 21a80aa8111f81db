"""What the terms of data sets forbid."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from intervalchange.data.terms import RESTRICTED, refuse_third_parties
from intervalchange.errors import ConfigError


@pytest.mark.parametrize("source", RESTRICTED)
def test_restricted_films_are_for_no_third_party_but_simulated_ones_are(source: str) -> None:
    with pytest.raises(ConfigError, match=rf"there: the terms of {source} forbid.*Do this"):
        refuse_third_parties(SimpleNamespace(manifest={"source": source}), "there", "Do this.")  # type: ignore[arg-type]
    simulated = SimpleNamespace(manifest={"source": source, "simulated": {"seed": 0}})
    refuse_third_parties(simulated, "there", "Do this.")  # type: ignore[arg-type]
    refuse_third_parties(SimpleNamespace(manifest={"source": "nih"}), "there", "Do this.")  # type: ignore[arg-type]
