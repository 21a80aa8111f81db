"""The change score as a reward for reinforcement learning with TRL (GRPO, RLOO). Imports no torch.

    from intervalchange.plugins.reward import change_reward
    trainer = trl.GRPOTrainer(model, reward_funcs=change_reward, train_dataset=dataset, ...)

The data set needs a column `reference`, and for free answers `question`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intervalchange.errors import ConfigError
from intervalchange.evaluation.metrics.change import readable_reference
from intervalchange.evaluation.metrics.one_answer import score_answer
from intervalchange.grammar import DIFFERENCE_QUESTION

Completion = str | Sequence[Mapping[str, Any]]
"""A text, or a conversation whose last message is the answer."""


def change_reward(
    completions: Sequence[Completion],
    reference: Sequence[str] | None = None,
    question: Sequence[str] | None = None,
    **columns: object,
) -> list[float | None]:
    """A reward in [0, 1] for each completion: `AnswerScore.value`, the F1 of the change that the answer tells.

    reference, question: columns of the data set, repeated by the trainer for each completion. columns: the others, and
    what else a trainer hands over (prompts, completion_ids, trainer_state ...); not used. A reference that says nothing
    about change gets None, which TRL leaves out. Raises ConfigError without a column `reference`.
    """
    if reference is None:
        raise ConfigError(
            "the data set has no column `reference`.",
            remedy=f"Rename the one with the right answers; there are {', '.join(sorted(columns)) or 'none'}.",
        )
    questions = [DIFFERENCE_QUESTION] * len(completions) if question is None else question
    return [
        score_answer(answer_of(completion), wanted, asked).value if readable_reference(wanted) else None
        for completion, wanted, asked in zip(completions, reference, questions, strict=True)
    ]


def answer_of(completion: Completion) -> str:
    """The text of a completion: itself, or the content of its last message."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content or ())
