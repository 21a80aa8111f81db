"""JSON, Python and cut-off objects -> headed pieces of text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from intervalchange.answers.tokens import tokens_of
from intervalchange.answers.units import Unit
from intervalchange.lazy_patterns import lazily

_FENCE = lazily(r"```[a-zA-Z]*\n?(.*?)(?:```|$)", re.DOTALL)
_OPENING = lazily(r"[{\[]\s*(?:[\"'{\[\]}]|$)")
_NAME = lazily(r"^(?:finding|name|obs|observation|abnormality|label|pathology|condition|entity|what)s?$", re.IGNORECASE)
_PROSE = lazily(
    r"^(?:.*(?:answer|text|comment|description|summary|comparison|explanation|result|impression|response|output|conclusion|report|note|remark|findings?|differences?|changes?|a))$",
    re.IGNORECASE,
)
_SKIPPED = lazily(
    r"^(?:.*(?:reason|thought|think|rationale|analysis|confidence|score|probability|question|model|date|disclaimer|location|side|laterality|region|id|q|n_.*|note_to.*|version))$",
    re.IGNORECASE,
)
_PRIOR = lazily(r"prior|before|from|reference|baseline|previous|earlier|then|\bold\b|\bref\b", re.IGNORECASE)
_CURRENT = lazily(
    r"current|now|\bto\b|main|follow|after|latest|today|present$|\bnew(?:er)?_(?:image|level)", re.IGNORECASE
)
_EMPTY = lazily(
    r"^\s*(?:|none|nil|n/?a|null|nothing|no|no findings?|-+|\u2013|\u2014|\[\]|unknown)\s*\.?\s*$", re.IGNORECASE
)
_TRUE = frozenset({"true", "yes", "present", "1", "y"})
_FALSE = frozenset({"false", "no", "absent", "0", "n", "none"})


def object_of(text: str) -> tuple[Any, str] | None:
    """(the object of a text, what stands around it); None where there is none."""
    if "{" not in text and "[" not in text:
        return None
    body = match[1] if (match := _FENCE.search(text)) else text
    opening = _OPENING.search(body)
    if not opening or not re.search(r"[\"'][^\"']*[\"']\s*[:,\]}]|[{\[]\s*[}\]]", body[opening.start() :]):
        return None
    start = opening.start()
    for end in _ends(body, start):
        plain = _parsed(body[start:end])
        if plain:
            return plain, body[:start] + " " + body[end:] if match is None else ""
    plain = _parsed(_closed(body[start:]))
    return (plain, body[:start]) if plain else None


def _ends(body: str, start: int) -> list[int]:
    last = max(body.rfind("}"), body.rfind("]")) + 1
    return [last] if last > start else []


def _parsed(text: str) -> Any:
    """The object of a text in JSON or Python; None where it is neither."""
    for read in (json.loads, ast.literal_eval, lambda words: json.loads(re.sub(r",\s*([}\]])", r"\1", words))):
        try:
            plain = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return plain if isinstance(plain, dict | list) else None
    return None


def _closed(text: str) -> str:
    """A text that was cut off, without its last piece where that is torn, and with its brackets closed."""
    if text.count('"') % 2:
        text = text[: text.rfind('"')]
    text = re.sub(r"[,:\s]+$", "", text)
    text = (
        re.sub(r"(?:,|(?<=\{))\s*\"[^\"]*\"\s*$", "", text) if text.rstrip().endswith('"') and _open_key(text) else text
    )
    closing = []
    quoted = False
    for letter in text:
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in "{[":
            closing.append("}" if letter == "{" else "]")
        elif not quoted and letter in "}]" and closing:
            closing.pop()
    return re.sub(r",\s*$", "", text) + "".join(reversed(closing))


def _open_key(text: str) -> bool:
    """Whether a text ends with a key of an object that has no value yet."""
    inner = re.search(r"[{,\[:]\s*\"[^\"]*\"\s*$", text)
    return (
        inner is not None
        and inner.group()[0] in "{,"
        and text[: inner.start() + 1].rfind("{") > text[: inner.start() + 1].rfind("[")
    )


def object_units(plain: Any, heading: str = "") -> Iterator[Unit]:
    """The pieces of text of an object."""
    if isinstance(plain, list):
        for item in plain:
            if isinstance(item, dict | list):
                yield from object_units(item, heading)
            elif item not in (None, "") and not _EMPTY.match(str(item)):
                yield Unit(str(item), heading)
        return
    if not isinstance(plain, Mapping):
        return
    keys = {key: str(key).replace("_", " ").replace("-", " ") for key in plain}
    named = next((key for key in plain if _NAME.match(str(key)) and isinstance(plain[key], str)), None)
    if named is not None:
        yield Unit(_of_finding(plain, named, keys), heading)
        return
    for key, value in plain.items():
        yield from _of_key(str(key), keys[key], value, heading)


def _tags(text: str) -> str:
    return "".join(token.tag for token in tokens_of(text))


def _of_key(key: str, words: str, value: Any, heading: str) -> Iterator[Unit]:
    tags = _tags(words)
    if isinstance(value, Mapping):
        if "F" in tags and any(_PRIOR.search(str(name)) or _CURRENT.search(str(name)) for name in value):
            yield Unit(f"{words}: {_of_films(value)}", heading)
        elif "F" in tags:
            yield Unit(f"{words}: " + ", ".join(f"{item}" for item in value.values() if isinstance(item, str)), heading)
        elif set(tags) & set("NGWBSHEPC"):
            yield from _of_status(words, value)
        else:
            yield from object_units(value, heading)
    elif isinstance(value, list):
        if not _SKIPPED.match(key) or set(tags) & set("NGWBSHEPC"):
            yield from object_units(value, words if set(tags) & set("NGWBSHDEPCk") else heading)
    elif isinstance(value, bool) or value is None:
        if "M" in tags and value is False:
            yield Unit("no change")
        elif "F" in tags and heading and value:
            yield Unit(words, heading)
    elif isinstance(value, str) and not _EMPTY.match(value):
        if "F" in tags or (set(tags) & set("NGWBSHEPC") and not re.search(r"answer|comment|text", words)):
            yield Unit(f"{words}: {value}" if "F" in tags else value, heading if "F" in tags else words)
        elif "R" in tags:
            yield Unit(f"{words}: {value}", heading)
        elif _PROSE.match(key) and not _SKIPPED.match(key):
            yield Unit(value, heading)
    elif isinstance(value, str) and "M" in tags and not set(tags) & set("NGWBS") and _EMPTY.match(value):
        yield Unit("no change")
    elif isinstance(value, str) and "F" in tags and value.strip().lower() in _FALSE:
        yield Unit(f"{words}: absent", heading)


def _of_status(words: str, value: Mapping[Any, Any]) -> Iterator[Unit]:
    """{"new": {"effusion": true, "edema": false}}: the true ones."""
    for name, told in value.items():
        text = str(told).strip().lower()
        if told is True or text in _TRUE:
            yield Unit(str(name).replace("_", " "), words)
        elif told is False or told is None or text in _FALSE:
            continue
        elif isinstance(told, Mapping | list):
            yield from object_units(told, words)
        else:
            yield Unit(f"{str(name).replace('_', ' ')}: {told}", words)


def _state(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "absent"
    text = str(value).strip()
    if value is None or text.lower() in _FALSE or text == "":
        return "absent"
    return "present" if text.lower() in _TRUE else text


def _of_films(value: Mapping[Any, Any]) -> str:
    found = []
    for name, told in value.items():
        film = "prior" if _PRIOR.search(str(name)) else "current" if _CURRENT.search(str(name)) else ""
        if film or (isinstance(told, str) and not _SKIPPED.match(str(name)) and not _EMPTY.match(told)):
            found.append(f"{film} {_state(told)}".strip())
    return ", ".join(found)


def _of_finding(plain: Mapping[Any, Any], named: Any, keys: Mapping[Any, str]) -> str:
    """{"finding": "effusion", "status": "new", "from": "small", ...} as "effusion: new, prior small"."""
    found = []
    for key, value in plain.items():
        words = keys[key]
        if key == named or value is None or isinstance(value, Mapping | list):
            continue
        if _PRIOR.search(words):
            found.append(f"prior {_state(value)}")
        elif _CURRENT.search(words):
            found.append(f"current {_state(value)}")
        elif isinstance(value, str) and not _SKIPPED.match(str(key)):
            found.append(value.replace("_", " "))
        elif isinstance(value, bool) and set(_tags(words)) & set("NGWBS") and value:
            found.append(words)
    return f"{plain[named]}: {', '.join(found)}"
