"""Patterns that are compiled when first used."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from intervalchange.lazy_patterns import lazily

COUNTED = """
import re, functools, json, dataclasses
made, compile = [], re._compiler.compile
re._compiler.compile = lambda *given: made.append(given) or compile(*given)
import {module}
print(len(made))
"""


def test_it_is_the_pattern() -> None:
    pattern = lazily(r"(b)+", re.IGNORECASE)
    assert pattern.sub("x", "abBa") == "axa" and pattern.findall("aBa") == ["B"]
    assert pattern.pattern == "(b)+" and pattern.search("c") is None
    with pytest.raises(AttributeError):
        pattern.no_method  # type: ignore[attr-defined] # noqa: B018


def test_a_broken_pattern_is_found_out_when_it_is_used() -> None:
    pattern = lazily("(")
    with pytest.raises(re.error):
        pattern.search("")


def test_importing_the_reader_compiles_next_to_nothing() -> None:
    code = COUNTED.format(module="intervalchange.answers")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 2, "93 before"
