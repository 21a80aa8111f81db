"""The name of a model of others -> what answers. Options that do not belong to its kind are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError
from intervalchange.foreign_models.addresses import Address, refuse_strangers
from intervalchange.foreign_models.profiles import NONE, Profile, profile_of
from intervalchange.foreign_models.prompts import Prompt
from intervalchange.foreign_models.records import FilmModel, FilmQuestion, ForeignOptions, Key, Reply

ONLY = {
    "openai:": ("concurrency", "timeout", "patience", "allow_remote", "own_server"),
    "hf:": ("batch_size",),
}
"""Options that one kind has alone."""

FIXED = {"model", "messages", "stream", "n", "input_ids", "num_return_sequences", "logits_processor"}
"""Parameters that are not the user's: another would make another question, or another shape of reply."""


@dataclass(frozen=True)
class OpenedModel:
    """A model of others with what its answers depend on."""

    name: str
    model: FilmModel
    profile: Profile
    prompt: Prompt
    facts: dict[str, Any]
    """Of the provenance: the prompt and its hash, the order of the films, parameters, weights."""
    samples: int = 0

    @property
    def identity(self) -> str:
        """What kept answers know it by."""
        return f"{self.name} {sorted(self.facts.items())}"

    def replies(self, questions: Iterable[tuple[Key, FilmQuestion]]) -> Iterator[tuple[Key, Reply]]:
        """As the model's."""
        return self.model.replies(questions)

    def __str__(self) -> str:
        """What it is asked, for the reader of a command's output."""
        profile = "no profile"
        if self.profile is not NONE:
            profile = f"profile {self.profile.name}: --profile none for the common prompt"
        lines = "\n".join(f"  {line}" for line in str(self.prompt).splitlines())
        return f"{self.name} ({profile}) is shown and asked (prompt {self.prompt.sha256[:12]}):\n{lines}"


def open_model(name: str, options: ForeignOptions, prepared: Prepared) -> OpenedModel:
    """`openai:URL#MODEL` or `hf:NAME`, to be asked about the films of a prepared folder.

    Raises ConfigError for options that do not fit, and where films may not be sent; RunError for a model that cannot be
    loaded.
    """
    prefix, rest = f"{name.partition(':')[0]}:", name.partition(":")[2]
    _refuse_options(prefix, options)
    address = Address.of(name) if prefix == "openai:" else None
    profile = profile_of(options.profile, address.model if address is not None else rest)
    prompt = profile.prompt(options.answer_as, options.prompt)
    options = replace(options, max_tokens=options.max_tokens or profile.max_tokens)
    facts: dict[str, Any] = {"profile": profile.name, "system": prompt.system, "prompt": prompt.two_films}
    facts |= {"prompt_sha256": prompt.sha256, "films": prompt.order}
    if address is not None:
        from intervalchange.foreign_models.chat import ChatModel

        refuse_strangers(address, prepared, allow_remote=options.allow_remote, own_server=options.own_server)
        chat = ChatModel(address, prompt, options)
        facts["parameters"] = chat.parameters
        return OpenedModel(name, chat, profile, prompt, facts, options.samples)
    from intervalchange.foreign_models.chat_template import ChatTemplateModel

    local = ChatTemplateModel(rest, prompt, options, profile)
    facts |= {"parameters": local.parameters, "processor": dict(profile.processor), "weights": local.weights}
    return OpenedModel(name, local, profile, prompt, facts, options.samples)


def _refuse_options(prefix: str, options: ForeignOptions) -> None:
    if options.prompt is not None and options.answer_as != ForeignOptions.answer_as:
        raise ConfigError("a prompt of one's own says itself how to answer.", remedy="Leave out --answer-as.")
    taken = sorted(FIXED & options.parameters.keys())
    if taken:
        raise ConfigError(f"--parameter {taken[0]} is set by this command.", remedy="Leave it out.")
    for other, names in ONLY.items():
        given = [name for name in names if getattr(options, name) != getattr(ForeignOptions, name)]
        if other != prefix and given:
            flag = f"--{given[0].replace('_', '-')}"
            raise ConfigError(f"{flag} is for {other} models.", remedy=f"Leave it out of {prefix}.")
