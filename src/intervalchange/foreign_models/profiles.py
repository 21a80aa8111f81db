"""How kinds of models want to be asked: the order of the films, fixed prompts, the length of an answer.

One record a kind, with where its facts are from and what could not be verified. A model of no known kind is asked by
the common prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from intervalchange.errors import ConfigError
from intervalchange.foreign_models.prompts import PRIOR_FIRST, Prompt, common_prompt, prompt_of_file
from intervalchange.foreign_models.records import MOST_TOKENS

CURRENT_FIRST = "{current}{prior}"


@dataclass(frozen=True)
class Profile:
    """A kind of model."""

    name: str
    models: str
    """Regular expression: in the names of its models, case apart."""
    source: str = ""
    """Where the facts are from."""
    unverified: str = ""
    """What could not be verified."""
    order: str = PRIOR_FIRST
    """The films, where they stand first."""
    system: str = ""
    own: Prompt | None = None
    """Its own wording, where it has one."""
    max_tokens: int = MOST_TOKENS
    processor: Mapping[str, Any] = field(default_factory=dict)
    """`hf:`: arguments of the processor. Behind `openai:` they are the server's."""
    remedy: str = ""
    """How to reach it where transformers cannot load it."""

    def prompt(self, answer_as: str, path: Path | None) -> Prompt:
        """What its models are asked; path: a wording of the user's own. Raises ConfigError for what does not fit."""
        if path is not None:
            return replace(prompt_of_file(path, self.order), system=self.system)
        if self.own is None:
            return replace(common_prompt(answer_as), system=self.system)
        if answer_as != "prose":
            raise ConfigError(
                f"{self.name} models have a prompt of their own, and answer in prose.",
                remedy="Leave out --answer-as, or add --profile none.",
            )
        return replace(self.own, system=self.system)


NONE = Profile("none", models=r"(?!)")
"""Of a model that is asked by the common prompt. Its expression is found in no name."""
PROFILES = (
    Profile(
        "libra",
        models=r"(^|/)libra-v",
        order=CURRENT_FIRST,
        system="The assistant specialized in comparing Chest X-ray images, identifying differences, and noting "
        "temporal changes.",
        own=Prompt(f"{CURRENT_FIRST}{{question}}", one_film="{current}{question}"),
        source="github.com/X-iZhang/Libra: README.md (image_file: the current film, then the previous one; "
        "max_new_tokens=512; Medical-Diff-VQA: main is current, reference is prior), libra/eval/run_libra.py "
        "(images[0] is current; one film alone is doubled), libra/conversation.py (libra_v1; arXiv:2411.19378)",
        unverified="No server of Libra that speaks chat completions is published: one has to hand on system, films in "
        "order, and text, as libra_eval takes them. The wording of its training rows was not seen. The 3B model has a "
        "longer system prompt.",
        remedy="Libra is loaded by its own package: put libra_eval behind chat completions and use "
        "openai:URL#libra-v1.0-7b.",
    ),
    Profile(
        "maira-2",
        models=r"maira-?2",
        order=CURRENT_FIRST,
        own=Prompt(
            "Given the current frontal image{current} and the prior frontal image{prior} PRIOR_REPORT: N/A Provide a "
            "description of the findings in the radiology study in comparison to the prior frontal image. "
            "INDICATION: N/A TECHNIQUE: N/A COMPARISON: N/A"
        ),
        max_tokens=300,
        source="format_and_preprocess_reporting_input of processing_maira2.py, as in "
        "github.com/johannes2moll/maira_rrg (films: current frontal, [lateral], prior frontal; N/A for what is "
        "missing); the sentence as in github.com/X-iZhang/Libra README.md; 300 tokens for a report without boxes as "
        "its users call it; the chat template, which brings the system prompt, as in tiny-random-maira2 of "
        "huggingface.co/optimum-intel-internal-testing (arXiv:2406.04449)",
        unverified="microsoft/maira-2 is gated and was not read. Its processor also stretches each film to 0..255.",
        remedy="MAIRA-2 is code of its own, which is not run: serve it with that code behind chat completions and use "
        "openai:URL#maira-2. It writes a report, whatever the question.",
    ),
    Profile(
        "medgemma",
        models=r"medgemma",
        system="You are an expert radiologist.",
        source="github.com/Google-Health/medgemma, notebooks: quick_start_with_model_garden (system prompt, greedy "
        "decoding), cxr_longitudinal_comparison_with_hugging_face (MedGemma 1.5: the two images above the text, the "
        "first is the earlier; films padded to a square in training)",
        unverified="The prompt of its MS-CXR-T figures is not published. The longitudinal notebook's last cell was not "
        "read, so whether it has a system prompt too, and how many tokens, is not known.",
    ),
    Profile(
        "qwen-vl",
        models=r"qwen[\d.]*-?vl",
        processor={"min_pixels": 256 * 28 * 28, "max_pixels": 1280 * 28 * 28},
        source="huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct: README.md (images, then text; 256 to 1280 visual tokens an "
        "image of 28 x 28 pixels each), chat_template.json (images in the order of the message; it brings the system "
        "prompt where the message has none)",
        unverified="The pixels are those recommended for Qwen2-VL and Qwen2.5-VL; Qwen3-VL has tokens of 32 x 32. The "
        "image processor was tried with them, the whole processor, which needs torchvision, was not.",
    ),
)


def profile_of(choice: str | None, model: str) -> Profile:
    """By its name, or, where None is given, by the model's. Raises ConfigError for an unknown name."""
    if choice is None:
        return next((one for one in PROFILES if re.search(one.models, model, re.IGNORECASE)), NONE)
    known = {one.name: one for one in (NONE, *PROFILES)}
    if choice not in known:
        raise ConfigError(f"there is no profile {choice!r}.", remedy=f"Choose from {', '.join(known)}.")
    return known[choice]
