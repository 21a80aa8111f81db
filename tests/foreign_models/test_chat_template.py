"""Models of transformers through AutoProcessor and AutoModelForImageTextToText: two families, saved and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_vlm
import torch
import toy
from PIL import Image
from transformers import AutoProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from intervalchange.cli import main
from intervalchange.data.prepared import Prepared
from intervalchange.errors import RunError
from intervalchange.evaluation.answers.predictions import read_predictions
from intervalchange.foreign_models.chat_template import ChatTemplateModel, TokenProbabilities
from intervalchange.foreign_models.opening import open_model
from intervalchange.foreign_models.profiles import profile_of
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
    assert [one.text for one in together.values()] == [one.text for one in alone.values()], "whatever the batch"
    for name, reply in together.items():
        assert reply.log_probability == pytest.approx(alone[name].log_probability, abs=1e-5)
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
    again = read_predictions(out)[1]
    assert [replace(one, confidence=None) for one in again] == [replace(one, confidence=None) for one in answers]
    for one, other in zip(again, answers, strict=True):  # Of 32-bit floats, in other batches.
        assert one.confidence == {"answer": pytest.approx((other.confidence or {})["answer"], abs=1e-5)}
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


@pytest.mark.slow
def test_the_probability_of_an_answer_is_the_models(model: ChatTemplateModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against one forward pass over prompt and answer; tokens after the end are not counted."""
    rng = np.random.default_rng(1)
    question = FilmQuestion(*(rng.integers(0, 255, (64, 64), dtype=np.uint8) for _ in range(2)), "what has changed?")
    seen: dict[str, Any] = {}
    generate = model.model.generate

    def spied(**inputs: Any) -> torch.Tensor:
        seen.update(inputs, tokens=generate(**inputs))
        return seen["tokens"]

    monkeypatch.setattr(model.model, "generate", spied)
    ((_, reply),) = model.replies([("a", question)])
    start = seen["input_ids"].shape[1]
    inputs = {name: seen[name] for name in seen if name.startswith("pixel")}
    with torch.no_grad():
        logits = model.model(input_ids=seen["tokens"], **inputs).logits[0, start - 1 : -1].double()
    new = seen["tokens"][0, start:]
    values = torch.log_softmax(logits, -1).gather(1, new[:, None])[:, 0]
    assert len(new) == TOKENS and reply.log_probability == pytest.approx(float(values.mean()), abs=1e-5)
    kept = TokenProbabilities(0)
    kept.chosen = [values[None, number] for number in range(TOKENS - 1)]
    kept.last = torch.log_softmax(logits[-1:], -1)
    ends = torch.zeros(1, TOKENS, dtype=torch.bool)
    ends[0, 2] = ends[0, 5] = True
    assert kept.means(new[None], ends) == [pytest.approx(float(values[:3].mean()))]


@pytest.mark.slow
def test_samples_are_the_same_wherever_they_are_drawn(folder: Path, model: ChatTemplateModel) -> None:
    films = [np.random.default_rng(seed).integers(0, 255, (64, 64), dtype=np.uint8) for seed in range(3)]
    asked = FilmQuestion(films[0], films[1], "what has changed?")
    samples = [(number, replace(asked, sample=number)) for number in (1, 2, 3)]
    drawn = dict(model.replies(samples))
    assert len({reply.text for reply in drawn.values()}) > 1, "they differ"
    other = FilmQuestion(films[1], films[2], "what has changed?")
    state = torch.random.get_rng_state()
    again = dict(model.replies([(0, other), *samples, ("other", replace(other, sample=1))]))
    assert torch.equal(torch.random.get_rng_state(), state), "the randomness of others is left"
    assert {number: again[number].text for number in drawn} == {number: one.text for number, one in drawn.items()}
    answer = dict(model.replies([(0, asked)]))[0]
    assert answer.text not in {reply.text for reply in drawn.values()} and answer.text != again["other"].text


@pytest.mark.slow
def test_beams_have_no_confidence(folder: Path) -> None:
    options = ForeignOptions(max_tokens=3, parameters={"num_beams": 2})
    model = ChatTemplateModel(str(folder), common_prompt("prose"), options)
    ((_, reply),) = model.replies([(0, FilmQuestion(np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8), "q"))])
    assert reply.text and reply.log_probability is None


MAIRA = (
    "You are an expert radiology assistant tasked with interpreting a chest X-ray study. "
    "{% for m in messages %}{% if m['role'] == 'user' %}USER: {% else %}ASSISTANT: {% endif %}"
    "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% else %}<image>{% endif %}{% endfor %}"
    "{% if m['role'] == 'user' %} {% else %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
"""The chat template of MAIRA-2."""


@pytest.mark.slow
def test_a_look_alike_of_maira_2_reads_the_prompt_that_its_processor_writes(tmp_path: Path) -> None:
    folder = tiny_vlm.llava(tmp_path / "maira-2", template=MAIRA)
    prepared = Prepared(toy.cohort(tmp_path / "toy", train=1, val=1, test=2))
    opened = open_model(f"hf:{folder}", ForeignOptions(), prepared)
    assert opened.facts["profile"] == "maira-2" and opened.facts["parameters"]["max_new_tokens"] == 300
    film = np.zeros((8, 8), np.uint8)
    conversation = opened.model._conversation(FilmQuestion(film, film, "what has changed?"))  # type: ignore[attr-defined]
    text = opened.model.processor.apply_chat_template(conversation, add_generation_prompt=True)  # type: ignore[attr-defined]
    assert text == (
        "You are an expert radiology assistant tasked with interpreting a chest X-ray study. USER: Given the current "
        "frontal image<image> and the prior frontal image<image> PRIOR_REPORT: N/A Provide a description of the "
        "findings in the radiology study in comparison to the prior frontal image. INDICATION: N/A TECHNIQUE: N/A "
        "COMPARISON: N/A ASSISTANT: "
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "remedy"), [("maira-2", "serve it with that code"), ("libra-v1.0-7b", "libra_eval")])
def test_how_to_reach_a_model_that_is_code_of_its_own(name: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text('{"model_type": "maira2"}', encoding="utf-8")
    with pytest.raises(RunError, match=remedy):
        ChatTemplateModel(str(tmp_path / name), common_prompt("prose"), ForeignOptions(), profile_of(None, f"x/{name}"))


@pytest.mark.slow
def test_the_pixels_of_a_profile_reach_the_processor(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen's whole processor needs torchvision, which this package does without: its image processor is tried alone."""
    given: dict[str, Any] = {}
    load = AutoProcessor.from_pretrained
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda place, **more: given.update(more) or load(place))
    ChatTemplateModel(str(folder), common_prompt("prose"), ForeignOptions(), profile_of("qwen-vl", ""))
    assert given == {"min_pixels": 200704, "max_pixels": 1003520}
    Qwen2VLImageProcessorPil().save_pretrained(tmp_path)
    plain, told = (Qwen2VLImageProcessorPil.from_pretrained(tmp_path, **more) for more in ({}, given))
    small = Image.new("RGB", (112, 112))
    tokens = [int(one(small, return_tensors="pt")["image_grid_thw"].prod()) // 4 for one in (plain, told)]
    assert tokens == [16, 256], "visual tokens of a small film, as it is and at 256 tokens"
