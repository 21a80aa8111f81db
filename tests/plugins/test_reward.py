"""The reward of TRL's signature."""

from __future__ import annotations

import inspect
import time

import pytest

from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics import change
from intervalchange.findings import FINDINGS
from intervalchange.grammar import NOTHING, render
from intervalchange.plugins.reward import answer_of, change_reward
from intervalchange.records import Change

EDEMA = "the main image has an additional finding of edema than the reference image."


def test_rewards_of_a_batch_as_the_trainer_calls_it() -> None:
    rewards = change_reward(
        prompts=["look"] * 4,
        completions=[EDEMA, NOTHING, "New edema.", "There is new effusion."],
        completion_ids=[[1], [2], [3], [4]],
        reference=[EDEMA, EDEMA, EDEMA, NOTHING],
        trainer_state=object(),
    )
    assert rewards == [1.0, 0.0, 1.0, 0.0]


def test_a_conversation_is_its_last_message() -> None:
    message = {"role": "assistant", "content": EDEMA}
    parts = {"role": "assistant", "content": [{"type": "text", "text": EDEMA}]}
    assert change_reward([[message], [parts]], reference=[EDEMA, EDEMA]) == [1.0, 1.0]
    assert answer_of([]) == "" and answer_of([{"role": "assistant", "content": None}]) == ""


def test_the_question_lends_the_finding() -> None:
    asked = "Has the pneumothorax changed?"
    missing = render(Change.of(missing=["pneumothorax"]))
    assert change_reward(["Yes, it is gone."], reference=[missing], question=[asked]) == [1.0]


def test_a_reference_that_says_nothing_is_left_out() -> None:
    assert change_reward([EDEMA, EDEMA], reference=["PA view", EDEMA]) == [None, 1.0]


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigError, match=r"no column `reference`.*there are answer"):
        change_reward([EDEMA], answer=[EDEMA])
    with pytest.raises(ValueError, match="shorter"):
        change_reward([EDEMA, EDEMA], reference=[EDEMA])


def test_it_has_the_shape_of_a_reward_function() -> None:
    parameters = inspect.signature(change_reward).parameters
    assert "completions" in parameters and parameters["columns"].kind is inspect.Parameter.VAR_KEYWORD
    assert change_reward.__name__ == "change_reward"  # The trainer logs rewards/<name>.


def test_a_tenth_of_a_millisecond_a_sample() -> None:
    """CPU time of template answers that were never seen, in batches of eight."""
    names = list(FINDINGS)
    answers = [render(Change.of([a, b], [c])) for a in names[:9] for b in names[9:17] for c in names[20:28]]
    references = answers[1:] + answers[:1]
    change.encoded_answer.cache_clear()
    best = min(_seconds_a_sample(answers[half::2], references[half::2]) for half in (0, 1))
    assert best < 1e-4


def _seconds_a_sample(answers: list[str], references: list[str]) -> float:
    start = time.process_time()
    for row in range(0, len(answers), 8):
        change_reward(answers[row : row + 8], reference=references[row : row + 8])
    return (time.process_time() - start) / len(answers)
