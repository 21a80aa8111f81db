"""Questions with a choice of answers: their text, and which option an answer in anyone's words means.

The options stand under the question, one a line, as `A. ...`; without such lines it is a question of yes or no. The
answer of a case is the letter, or yes or no.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import ascii_uppercase
from typing import Any

FIELDS = ("options", "choices")
"""Fields of a row that hold the options."""
YES_NO = ("yes", "no")
_LETTERS = ascii_uppercase[:10]
_SHORT = 3
"""Characters of an answer that can be nothing but a letter, large or small."""
_LINE = re.compile(rf"^\s*\(?([{_LETTERS}])[.):]\s+(\S.*)$", re.MULTILINE)
_LEADING = re.compile(rf"^[\W_]*([{_LETTERS}])(?:\s*[.):\]*]|[\W_]*$)")
_NAMED = re.compile(rf"\b(?:answer|option|choice)\b(?:\s+is)?[\W_]{{0,8}}([{_LETTERS}])\b(?!['’])", re.IGNORECASE)
_MARKED = re.compile(rf"(?:\(|\*\*|\{{|\[)([{_LETTERS}])(?:\)|\*\*|\.|\}}|\])")
_REASONED = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL | re.IGNORECASE)
_YES_NO = re.compile(r"^[\W_]*(yes|no)\b", re.IGNORECASE)
_NAMED_YES_NO = re.compile(r"\banswer\b(?:\s+is)?[\W_]{0,8}(yes|no)\b", re.IGNORECASE)


def lettered(question: str, options: Mapping[str, str]) -> str:
    """The question with its options under it.

    >>> lettered("Which?", {"A": "worse", "B": "better"})
    'Which?\\nA. worse\\nB. better'
    """
    return "\n".join([question.strip(), *(f"{letter}. {text}" for letter, text in options.items())])


@lru_cache(maxsize=1 << 12)
def options_of(question: str) -> Mapping[str, str]:
    """Letter -> option, of a question as `lettered` writes it; empty where none is listed."""
    return dict(_LINE.findall(question))


def options_in(row: Mapping[str, Any]) -> dict[str, str]:
    """Letter -> option of a row of a published table; empty where it has none.

    Options are an object by letter, a list (lettered or not), or fields A, B, ... of the row itself.
    """
    given = next((row[name] for name in FIELDS if row.get(name)), None)
    if isinstance(given, Mapping):
        return {str(letter).strip().upper(): str(text).strip() for letter, text in given.items()}
    if isinstance(given, list):
        texts = (re.sub(rf"^\s*\(?[{_LETTERS}][.):]\s+", "", str(text)).strip() for text in given)
        return dict(zip(_LETTERS, texts, strict=False))
    return {letter: str(row[letter]).strip() for letter in _LETTERS if isinstance(row.get(letter), str)}


@lru_cache(maxsize=1 << 14)
def chosen(answer: str, question: str) -> str:
    """The letter that an answer means, or yes or no where the question lists no options; "" where it names none.

    Read are the letter alone or in front, "the answer is B" (the last one counts: reasoning comes first), a letter in
    brackets, and the words of exactly one option.

    >>> chosen("The answer is (B).", lettered("Which?", {"A": "worse", "B": "better"}))
    'B'
    """
    text = _REASONED.sub(" ", answer).strip()
    options = options_of(question)
    if not options:
        found = _NAMED_YES_NO.findall(text)[-1:] or _YES_NO.findall(text)
        return str(found[0]).lower() if found else ""
    leading = _LEADING.match(text.upper() if len(text) <= _SHORT else text)
    named = [leading[1]] if leading else [letter.upper() for letter in _NAMED.findall(text)] or _MARKED.findall(text)
    letters = [letter for letter in named if letter in options]
    return letters[-1] if letters else _by_words(text, options)


def _by_words(text: str, options: Mapping[str, str]) -> str:
    """The letter of the one option whose words are in the text; of two of which one holds the other, the longer."""
    said = _plain(text)
    held = {letter: words for letter, option in options.items() if (words := _plain(option)) and words in said}
    longest = [
        letter
        for letter, words in held.items()
        if not any(words in other and words != other for other in held.values())
    ]
    return longest[0] if len(longest) == 1 else ""


def _plain(text: str) -> str:
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} " if text.strip() else ""
