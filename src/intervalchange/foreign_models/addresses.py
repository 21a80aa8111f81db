"""Where a chat endpoint is, and whether films may be sent there."""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass

from intervalchange.data.prepared import Prepared
from intervalchange.data.terms import refuse_third_parties
from intervalchange.errors import ConfigError

REMEDY = "Write openai:http://127.0.0.1:8000/v1#MODEL."


@dataclass(frozen=True)
class Address:
    """An endpoint of the OpenAI protocol and a model there."""

    scheme: str
    host: str
    port: int
    path: str
    """Without a slash at its end: /v1."""
    model: str

    @classmethod
    def of(cls, name: str) -> Address:
        """`openai:URL#MODEL`. Raises ConfigError for another form, and for a URL that holds credentials."""
        url, _, model = name.removeprefix("openai:").partition("#")
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        except ValueError as problem:
            raise ConfigError(f"{problem}.", where=name, remedy=REMEDY) from None
        if "@" in parts.netloc or parts.query:  # The name is printed and written, so it is not repeated here.
            raise ConfigError(
                "the URL of a model holds neither a password nor a query.",
                remedy="Give the key in INTERVALCHANGE_API_KEY.",
            )
        if not (port and parts.hostname and model):
            raise ConfigError("this is not openai:URL#MODEL.", where=name, remedy=REMEDY)
        path = parts.path.rstrip("/").removesuffix("/chat/completions")
        return cls(parts.scheme, parts.hostname, port, path, model)

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def is_loopback(host: str) -> bool:
    """Whether a name or number is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_strangers(address: Address, prepared: Prepared, *, allow_remote: bool, own_server: bool) -> None:
    """Raise ConfigError where films would be sent to another machine, and the user or their terms do not allow that."""
    if address.is_loopback:
        return
    if not allow_remote:
        raise ConfigError(
            "this is another machine, and films would be sent to it.",
            where=str(address),
            remedy="If they may leave this one, add --allow-remote.",
        )
    if not own_server:
        refuse_third_parties(
            prepared,
            str(address),
            "If the server is your own (your machine, your institution's), add --own-server.",
        )
