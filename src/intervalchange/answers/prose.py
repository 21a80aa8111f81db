"""Text -> sentences, ready for `clauses`."""

from __future__ import annotations

import re

from intervalchange.lazy_patterns import lazily

_ABBREVIATED = lazily(r"\b(vs|i\.?e|e\.?g|dr|approx|ref|cur|prev|no|fig|st)\.(?=\s)", re.IGNORECASE)
_DASH = lazily(r"\s[-\u2013\u2014]+\s|\u2014|(?<=[a-z)])\s*\u2013\s*(?=[a-z(])")
_SIGNED = lazily(r"(?<=[:;,])\s*(?P<sign>[+\u2212\u2013-])\s+(?=[A-Za-z])")
_ASKED = lazily(
    r"(?:^|(?<=[.!?]\s))(?:is|are|was|were) there (?:an? |any |still )?(?P<what>[^?.!]{3,60})\?\s*(?=(?:yes|no)\b)",
    re.IGNORECASE,
)
_ASKED_SHORT = lazily(
    r"(?:^|(?<=[.!?]\s))(?P<what>[A-Za-z][\w ]{2,40})\?\s+"
    r"(?=(?:none|no|yes|nope|absent|present|new|resolved|unchanged)\b)",
    re.IGNORECASE,
)
_END = lazily(r"(?<=[.!])[\"')\]]*\s+|(?<=\?)[\"')]*\s+(?=[A-Z\"(])|(?<=[a-z])\.(?=[A-Z][a-z])")
_HEADINGS_ASIDE = lazily(
    r"(?:^|(?<=[.\n]\s)|(?<=\n))(?:technique|comparison|indication|history|clinical (?:history|information)"
    r"|exam(?:ination)?|procedure|views?|reference(?=: (?:three|two|one|\w+ days)))\s*:[^.\n]*[.\n]",
    re.IGNORECASE,
)
_LETTERED = lazily(r"(?:^|\s)\(?(?:[a-h]|i{1,3}|iv|\d{1,2})[).]\s+(?=[A-Za-z])")
_AFTER = lazily(r"\bafter\s*:", re.IGNORECASE)
_LEADING = lazily(r"^\s*\?\s+")
_TEMPLATE = lazily(r"\s*(?:the )?(?:main|reference) (?:image|picture)|\s*the level of", re.IGNORECASE)
_RUN_ON = lazily(r"(?<=[a-z]) (?=the main image (?:has|is)|the level of)", re.IGNORECASE)
_CUT_OFF = lazily(r"(?:,| and) (?:and )?pneumo$")
_SIGNS = frozenset("+-\u2013\u2014\u2212")
_INSIDE = lazily(r"\(([^()]*)\)")


def sentences_of(text: str) -> list[str]:
    """The sentences of a line or paragraph; what it says of technique, history and comparison is left out."""
    text = text.replace("\u2019", "'")
    if ":" in text:
        text = _AFTER.sub("current:", text)
        text = _HEADINGS_ASIDE.sub(" ", text)
    if "." in text:
        text = _ABBREVIATED.sub(r"\1", text)
    if "?" in text:
        text = _ASKED_SHORT.sub(r"\g<what>: ", _ASKED.sub(r"\g<what>: ", text))
    if "(" in text and ";" in text:
        text = _INSIDE.sub(lambda match: "(" + match[1].replace(";", ",") + ")", text)
    if ")" in text:
        text = _LETTERED.sub("; ", text)
    if not _SIGNS.isdisjoint(text):
        text = _SIGNED.sub(lambda match: " new " if match["sign"] == "+" else " resolved ", text)
        text = _DASH.sub(" : ", text)
    if text.lstrip().startswith("?"):
        text = _LEADING.sub("possible ", text)
    if _TEMPLATE.match(text):
        text = _CUT_OFF.sub("", _RUN_ON.sub(". ", text))
    return [sentence for sentence in _END.split(text) if sentence.strip(" .")]
