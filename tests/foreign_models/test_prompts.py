"""What models are asked, and that the answers which a prompt wants can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intervalchange.answers import Course, read_answer
from intervalchange.errors import ConfigError
from intervalchange.foreign_models.profiles import NONE
from intervalchange.foreign_models.prompts import FORMS, Prompt, common_prompt, prompt_of_file
from intervalchange.foreign_models.records import FilmQuestion

PRIOR, CURRENT = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
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
    text = common_prompt(form).text("what has changed?")
    assert "first image is the prior" in text and "\n\nwhat has changed?\n\n" in text and "{question}" not in text
    wanted = Course(frozenset({"edema"}), worse=frozenset({"pleural effusion"}), stable=frozenset({"cardiomegaly"}))
    read = read_answer(EXAMPLE[form], "what has changed?")
    assert read.change == wanted and not read.unread
    assert read_answer(NOTHING[form], "what has changed?").nothing


def shown(prompt: Prompt, words: str, prior: np.ndarray | None = PRIOR) -> list[str]:
    """Films by name, and texts, in order."""
    names = {id(PRIOR): "<prior>", id(CURRENT): "<current>"}
    parts = prompt.parts(FilmQuestion(prior, CURRENT, words))
    return [part if isinstance(part, str) else names[id(part)] for part in parts]


def test_each_wording_has_its_own_hash(tmp_path: Path) -> None:
    own = tmp_path / "prompt.txt"
    own.write_text("Compare. {question} Be brief.\n", encoding="utf-8")
    prompts = [common_prompt(form) for form in FORMS] + [NONE.prompt("prose", own)]
    assert len({prompt.sha256 for prompt in prompts}) == 4
    assert prompts[-1].text("what is {prior}?") == "Compare. what is {prior}? Be brief."
    (film, text) = shown(prompts[0], "is there edema?", prior=None)
    assert film == "<current>" and "prior" not in text and "is there edema?" in text
    assert Prompt("a", system="b").sha256 != Prompt("a").sha256 != Prompt("b").sha256


def test_films_stand_where_the_template_places_them(tmp_path: Path) -> None:
    own = tmp_path / "prompt.txt"
    own.write_text("Then {prior}, now {current}: {question}", encoding="utf-8")
    placed, first = prompt_of_file(own, "{current}{prior}"), common_prompt("prose")
    assert shown(placed, "what {current}?") == ["Then ", "<prior>", ", now ", "<current>", ": what {current}?"]
    assert shown(first, "q")[:2] == ["<prior>", "<current>"] and len(shown(first, "q")) == 3
    assert (placed.order, first.order) == ("prior, current", "prior, current")
    own.write_text("{question}?", encoding="utf-8")
    assert shown(prompt_of_file(own, "{current}{prior}"), "what") == ["<current>", "<prior>", "what?"]


def test_what_is_no_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="form of answer"):
        common_prompt("verse")
    with pytest.raises(ConfigError, match="cannot be read"):
        prompt_of_file(tmp_path / "none.txt", "")
    for text, says in (("Compare.", r"no \{question\}"), ("{prior} {question}", "does not place both films once")):
        (tmp_path / "p.txt").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=says):
            prompt_of_file(tmp_path / "p.txt", "")
