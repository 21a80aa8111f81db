"""All studies come, whatever the archive sends at once."""

from __future__ import annotations

from typing import Any

import pytest

from intervalchange.archive.web import WebArchive

STUDIES = [f"1.2.{number}" for number in range(7)]


def found(uids: list[str]) -> list[dict[str, Any]]:
    return [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in uids]


def sends_all(offset: int) -> list[str]:
    return STUDIES[offset:]


def sends_three(offset: int) -> list[str]:
    return STUDIES[offset : offset + 3]


def sends_the_first_ones_for_ever(offset: int) -> list[str]:
    return STUDIES


@pytest.mark.parametrize("sends", [sends_all, sends_three, sends_the_first_ones_for_ever])
def test_every_study_comes_once(sends: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, asked = WebArchive("http://127.0.0.1:9"), []

    def search(search_filters: dict[str, str], limit: int | None = None, offset: int | None = None) -> Any:
        asked.append((search_filters["ModalitiesInStudy"], limit))
        return found(sends(offset or 0) if search_filters["ModalitiesInStudy"] == "CR" else [])

    monkeypatch.setattr(archive._client, "search_for_studies", search)
    assert sorted(archive.recent_studies(None)) == STUDIES
    assert {limit for _, limit in asked} == {None}
