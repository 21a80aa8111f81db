"""Models of transformers through AutoProcessor and AutoModelForImageTextToText: two families, saved and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_vlm
import toy

from intervalchange.cli import main
from intervalchange.errors import RunError
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.foreign_models.chat_template import ChatTemplateModel
from intervalchange.foreign_models.prompts import common_prompt
from intervalchange.foreign_models.records import FilmQuestion, ForeignOptions

TOKENS = 8


@pytest.fixture(scope="module", params=[tiny_vlm.llava, tiny_vlm.idefics3], ids=lambda make: make.__name__)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    saved: Path = request.param(tmp_path_factory.mktemp("vlm") / "model")
    return saved


@pytest.fixture(scope="module")
def model(folder: Path) -> ChatTemplateModel:
    return ChatTemplateModel(str(folder), common_prompt("prose"), ForeignOptions(max_tokens=TOKENS, batch_size=3))


@pytest.mark.slow
def test_both_films_are_shown_in_order_and_batches_do_not_matter(
    model: ChatTemplateModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    first, second, third = (rng.integers(0, 255, (64, 64), dtype=np.uint8) for _ in range(3))
    questions = {
        "given": FilmQuestion(first, second, "what has changed?"),
        "swap": FilmQuestion(second, first, "what has changed?"),
        "other": FilmQuestion(first, third, "what has changed in the left lung, and is it worse than it was?"),
        "one film": FilmQuestion(None, second, "is there edema?"),
    }
    together = dict(model.replies(questions.items()))
    assert list(together) == list(questions) and all(reply.cut for reply in together.values())
    alone = {name: dict(model.replies([(name, question)]))[name] for name, question in questions.items()}
    assert together == alone, "an answer does not depend on its batch"
    shown: list[dict[str, Any]] = []
    generate = model.model.generate
    monkeypatch.setattr(model.model, "generate", lambda **inputs: shown.append(inputs) or generate(**inputs))
    for name in ("given", "swap"):
        dict(model.replies([(name, questions[name])]))
    pixels = [inputs["pixel_values"].flatten(0, -4) for inputs in shown]
    assert len(pixels[0]) == 2 and (pixels[0] == pixels[1].flip(0)).all() and (pixels[0] != pixels[1]).any()
    text = model.processor.tokenizer.decode(shown[0]["input_ids"][0])
    assert "The first image is the prior film" in text and "what has changed?" in text
    assert text.count("<image>") == 8, "four patches a film"


@pytest.mark.slow
def test_from_a_folder_to_a_score_and_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    prepared = toy.cohort(tmp_path / "toy", train=1, val=1, test=4)
    out = tmp_path / "answers.jsonl"
    words = ["--data", str(prepared), "--controls", "--max-tokens", str(TOKENS), "--batch-size", "3"]
    assert main(["predict", f"hf:{folder}", "--out", str(out), *words]) == 0
    provenance, answers = read_predictions(out)
    assert provenance is not None and len(answers) == 20
    assert len(provenance.more["weights"]) == 64 and provenance.more["parameters"]["max_new_tokens"] == TOKENS
    assert answers[0].warnings == ("cut off at the limit of tokens",)
    content = out.read_bytes()
    out.write_bytes(b"\n".join(content.split(b"\n")[:6]) + b"\n{")
    assert main(["predict", f"hf:{folder}", "--out", str(out), *words]) == 0
    assert out.read_bytes() == content
    assert main(["score", str(out), "--no-meteor", "--replicates", "20"]) == 0


@pytest.mark.slow
def test_what_cannot_be_loaded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    for name in (str(tmp_path), str(tmp_path / "none")):
        with pytest.raises(RunError, match=r"cannot load this.*openai:URL#MODEL"):
            ChatTemplateModel(name, common_prompt("prose"), ForeignOptions())


@pytest.mark.slow
def test_a_model_without_a_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(RunError, match="no chat template"):
        ChatTemplateModel(str(tmp_path), common_prompt("prose"), ForeignOptions())
