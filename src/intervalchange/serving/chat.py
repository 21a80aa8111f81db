"""The run asked by OpenAI's chat protocol, as `intervalchange predict openai:URL#MODEL` and others speak it.

One or two images as data URIs, the prior first, then the current film; the question is the text, or what follows
`Question:` in it, or the one line of it that is understood as a question.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from intervalchange.errors import InputError
from intervalchange.policy import RESEARCH_USE
from intervalchange.question_reader import check_question

FORM = "Send one user message of one text and one or two images as base64 data URIs, the prior film first."


class ChatRequest(BaseModel):
    """What is read of a chat completion request; other fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    messages: list[dict[str, Any]]
    model: str = ""
    stream: bool = False


class ChatReply(BaseModel):
    """A chat completion."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, int]
    notice: str = RESEARCH_USE


class ModelList(BaseModel):
    """The one model there is."""

    object: str = "list"
    data: list[dict[str, Any]]


@dataclass(frozen=True)
class ChatQuestion:
    """What a chat request asks."""

    uploads: Mapping[str, bytes]
    """current, and where there are two films prior."""
    question: str


def question_of(request: ChatRequest) -> ChatQuestion:
    """Raises InputError for a request that is not of FORM, or whose question is not understood."""
    if request.stream:
        raise InputError("answers are not streamed.", remedy='Send "stream": false.')
    parts = [part for message in request.messages if message.get("role") == "user" for part in _parts(message)]
    films = [_film(part) for part in parts if part.get("type") == "image_url"]
    text = "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
    if not 1 <= len(films) <= 2:
        raise InputError(f"the request has {len(films)} images.", remedy=FORM)
    return ChatQuestion(dict(zip(("current", "prior"), reversed(films), strict=False)), _question(text))


def _parts(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise InputError("the content of a message is neither a text nor a list of parts.", remedy=FORM)
    return content


def _film(part: Mapping[str, Any]) -> bytes:
    address = part.get("image_url")
    uri = address.get("url") if isinstance(address, dict) else address
    head, comma, data = uri.partition(",") if isinstance(uri, str) else ("", "", "")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        # An address is not followed: this server fetches nothing.
        raise InputError("an image is not a base64 data URI.", remedy=FORM)
    return decoded(data)


def decoded(data: str) -> bytes:
    """base64 -> bytes. Raises InputError."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("a film is not base64.", remedy="Encode the bytes of the file.") from None


def _question(text: str) -> str:
    asked = text.rpartition("Question:")[2]
    lines = [line.strip() for line in asked.splitlines() if line.strip()]
    candidates = [line for line in lines if line.endswith("?") and _is_question(line)]
    if len(candidates) == 1:
        return candidates[0]
    question = " ".join(lines)
    check_question(question)
    return question


def _is_question(line: str) -> bool:
    try:
        check_question(line)
    except InputError:
        return False
    return True
