"""The plug-ins in the packages themselves, where they are installed: `make plugins` installs them beside .venv."""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exam import Exam

from intervalchange.plugins.scoring import HEADLINE

pytestmark = pytest.mark.filterwarnings("default")
"""Other people's warnings are not ours to fail on."""


def assert_equal(found: dict[str, float], exam: Exam) -> None:
    """The numbers of `score`, to 1e-9."""
    metrics = exam.scores()
    assert set(found) == set(HEADLINE)
    for name, value in found.items():
        assert value == pytest.approx(metrics[name], abs=1e-9), name


def _as_data(film: str) -> str:
    """A film as inspect hands it to a model."""
    return f"data:image/png;base64,{base64.b64encode(Path(film).read_bytes()).decode()}"


def test_inspect_ai(exam: Exam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect_ai = pytest.importorskip("inspect_ai")
    from inspect_ai.model import ModelOutput, get_model

    from intervalchange.plugins.inspect_task import interval_change

    seen: list[list[str]] = []
    by_film = {_as_data(pair.current): exam.answers[pair.case_id] for pair in exam.pairs}

    def answer(messages: Any, *_: Any) -> ModelOutput:
        content = messages[-1].content
        seen.append([part.type for part in content])
        question = content[-1].text
        assert question == exam.pairs[0].prompt
        return ModelOutput.from_content("mockllm", by_film[content[1].image])

    monkeypatch.chdir(tmp_path)
    # inspect estimates tokens with tiktoken, which downloads its vocabulary.
    words = SimpleNamespace(encode=lambda text, **_: text.split())
    monkeypatch.setattr("tiktoken.get_encoding", lambda _: words)
    model = get_model("mockllm/model", custom_outputs=answer)
    (log,) = inspect_ai.eval(
        interval_change(str(exam.folder)), model=model, display="none", log_dir=str(tmp_path / "logs"), epochs=1
    )
    assert log.status == "success", log.error
    assert seen == [["image", "image", "text"]] * len(exam.pairs)
    (score,) = log.results.scores
    assert_equal({name: one.value for name, one in score.metrics.items()}, exam)


def test_the_entry_point_of_inspect_ai() -> None:
    """inspect looks in the group `inspect_ai` for the name before the slash of `intervalchange/interval_change`."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["inspect_ai"] == {"intervalchange": "intervalchange.plugins.inspect_task"}


def test_lm_eval(exam: Exam) -> None:
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    by_case = exam.answers

    class Answerer(LM):  # type: ignore[misc]
        MULTIMODAL = True

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            for request in requests:
                text, _, films = request.arguments
                assert text.count("<image>") == 2 and len(films["visual"]) == 2
            return [by_case[request.doc["case_id"]] for request in requests]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> list[Any]:
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    manager = TaskManager(include_path=str(exam.folder / "lm_eval"), include_defaults=False)
    results = lm_eval.simple_evaluate(model=Answerer(), tasks=["interval_change"], task_manager=manager)
    metrics = results["results"]["interval_change"]
    assert_equal({name: metrics[f"{name},none"] for name in HEADLINE}, exam)


def test_lmms_eval(exam: Exam) -> None:
    pytest.importorskip("lmms_eval", exc_type=ImportError)
    from lmms_eval.tasks import TaskManager, get_task_dict

    manager = TaskManager(include_path=str(exam.folder / "lmms_eval"), include_defaults=False)
    task = get_task_dict(["interval_change"], manager)["interval_change"]
    items: dict[str, list[Any]] = {name: [] for name in HEADLINE}
    for document in task.test_docs():
        assert len(task.doc_to_visual(document)) == 2
        assert task.doc_to_text(document) == exam.pairs[0].prompt
        for name, item in task.process_results(document, [exam.answers[document["case_id"]]]).items():
            items[name].append(item)
    assert_equal({name: task.aggregation()[name](items[name]) for name in HEADLINE}, exam)


def test_trl(exam: Exam, tmp_path: Path) -> None:
    """Two steps of GRPO on a tiny network with the reward."""
    trl = pytest.importorskip("trl")
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from intervalchange.plugins.reward import change_reward

    words = ["<pad>", "<eos>", "what", "new", "edema", "resolved", "no", "change"]
    plain = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>")
    network = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(words), n_positions=16, n_embd=8, n_layer=1, n_head=1, eos_token_id=1, bos_token_id=1,
            pad_token_id=0,
        )
    )  # fmt: skip
    rewards: list[list[float | None]] = []

    def change(**columns: Any) -> list[float | None]:
        rewards.append(change_reward(**columns))
        return rewards[-1]

    trainer = trl.GRPOTrainer(
        network,
        reward_funcs=change,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=4, num_generations=4,
            max_completion_length=4, report_to=[], use_cpu=True, bf16=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": "what new", "reference": pair.reference} for pair in exam.pairs]),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    assert len(rewards) == 2 and all(len(batch) == 4 for batch in rewards)
    assert all(0 <= value <= 1 for batch in rewards for value in batch if value is not None)
