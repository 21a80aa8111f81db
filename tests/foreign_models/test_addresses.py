"""Where a model is, and what may be sent there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from intervalchange.errors import ConfigError
from intervalchange.foreign_models.addresses import Address, refuse_strangers


@pytest.mark.parametrize(
    ("name", "url", "loopback"),
    [
        ("openai:http://127.0.0.1:8000/v1#a/b", "http://127.0.0.1:8000/v1", True),
        ("openai:http://localhost:11434/v1/#a/b", "http://localhost:11434/v1", True),
        ("openai:http://[::1]:8000/v1/chat/completions#a/b", "http://[::1]:8000/v1", True),
        ("openai:https://api.example.org/v1#a/b", "https://api.example.org:443/v1", False),
        ("openai:http://127.0.0.1.example.org/v1#a/b", "http://127.0.0.1.example.org:80/v1", False),
        ("openai:http://10.0.0.7:8000/v1#a/b", "http://10.0.0.7:8000/v1", False),
    ],
)
def test_the_parts_of_a_name(name: str, url: str, loopback: bool) -> None:
    address = Address.of(name)
    assert (str(address), address.model, address.is_loopback) == (url, "a/b", loopback)


@pytest.mark.parametrize(
    "name",
    [
        "openai:",
        "openai:gpt",
        "openai:http://127.0.0.1:8000/v1",
        "openai:ftp://127.0.0.1/#m",
        "openai:http://h:99999/#m",
    ],
)
def test_another_form_is_refused_with_the_right_one(name: str) -> None:
    with pytest.raises(ConfigError, match=r"Write openai:http://127\.0\.0\.1:8000/v1#MODEL"):
        Address.of(name)


@pytest.mark.parametrize("name", ["openai:http://me:secret@h/v1#m", "openai:http://h/v1?api_key=secret#m"])
def test_a_credential_in_the_name_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(ConfigError, match="INTERVALCHANGE_API_KEY") as refusal:
        Address.of(name)
    assert "secret" not in str(refusal.value)


def test_films_stay_here_unless_they_may_leave() -> None:
    here, there = Address.of("openai:http://127.0.0.1:1/v1#m"), Address.of("openai:https://example.org/v1#m")

    def refuse(address: Address, remote: bool = True, own: bool = False, **manifest: Any) -> None:
        refuse_strangers(address, SimpleNamespace(manifest=manifest), allow_remote=remote, own_server=own)  # type: ignore[arg-type]

    refuse(here, remote=False, source="mimic_cxr")
    refuse(there, source="nih")
    with pytest.raises(ConfigError, match="--allow-remote"):
        refuse(there, remote=False, own=True, source="nih")
    with pytest.raises(ConfigError, match=r"terms of mimic_cxr forbid.*--own-server"):
        refuse(there, source="mimic_cxr")
    refuse(there, own=True, source="mimic_cxr")
    refuse(there, source="mimic_cxr", simulated={"seed": 0})
