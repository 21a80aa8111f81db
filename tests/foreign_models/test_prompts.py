"""What models are asked, and that the answers which a prompt wants can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from intervalchange.answers import Course, read_answer
from intervalchange.errors import ConfigError
from intervalchange.foreign_models.prompts import FORMS, prompt_of

EXAMPLE = {
    "prose": "There is a new edema. The pleural effusion is worse. Cardiomegaly is unchanged.",
    "table": "| finding | change |\n|---|---|\n| edema | new |\n| pleural effusion | worse |\n"
    "| cardiomegaly | stable |",
    "json": '{"new": ["edema"], "resolved": [], "worse": ["pleural effusion"], "better": [], '
    '"stable": ["cardiomegaly"]}',
}
NOTHING = {
    "prose": "Nothing has changed.",
    "table": "| finding | change |\n|---|---|\n| cardiomegaly | stable |",
    "json": '{"new": [], "resolved": [], "worse": [], "better": [], "stable": []}',
}


@pytest.mark.parametrize("form", FORMS)
def test_what_a_prompt_asks_for_is_read(form: str) -> None:
    text = prompt_of(form, None).text("what has changed?", 2)
    assert "first image is the prior" in text and "\n\nwhat has changed?\n\n" in text and "{question}" not in text
    wanted = Course(frozenset({"edema"}), worse=frozenset({"pleural effusion"}), stable=frozenset({"cardiomegaly"}))
    read = read_answer(EXAMPLE[form], "what has changed?")
    assert read.change == wanted and not read.unread
    assert read_answer(NOTHING[form], "what has changed?").nothing


def test_each_wording_has_its_own_hash(tmp_path: Path) -> None:
    own = tmp_path / "prompt.txt"
    own.write_text("Compare. {question} Be brief.\n", encoding="utf-8")
    prompts = [prompt_of(form, None) for form in FORMS] + [prompt_of("prose", own)]
    assert len({prompt.sha256 for prompt in prompts}) == 4
    assert prompts[-1].text("what is {new}?", 2) == "Compare. what is {new}? Be brief."
    assert "prior" not in prompts[0].text("is there edema?", 1)


def test_what_is_no_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="form of answer"):
        prompt_of("verse", None)
    with pytest.raises(ConfigError, match="cannot be read"):
        prompt_of("prose", tmp_path / "none.txt")
    (tmp_path / "p.txt").write_text("Compare.", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no \{question\}"):
        prompt_of("prose", tmp_path / "p.txt")
