"""Questions to a model, each asked once: what is kept is not asked again, nor is the same question twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from intervalchange.foreign_models.kept_answers import KeptAnswers, key_of
from intervalchange.foreign_models.records import FilmModel, FilmQuestion, Key, Reply


def replies_once(
    model: FilmModel, identity: str, questions: Iterable[tuple[Key, FilmQuestion]], keep: KeptAnswers
) -> Iterator[tuple[Key, Reply]]:
    """A reply to each question, under its key, as they come; each new one is in `keep` before it is handed on.

    identity: what `keep` knows the model by.
    """
    waiting: dict[str, list[Key]] = {}
    known: deque[tuple[Key, Reply]] = deque()

    def new() -> Iterator[tuple[str, FilmQuestion]]:
        for key, question in questions:
            content = key_of(identity, question)
            if content in keep.known:
                known.append((key, keep.known[content]))
            elif content in waiting:
                waiting[content].append(key)
            else:
                waiting[content] = [key]
                yield content, question

    for content, reply in model.replies(new()):
        keep.add(content, reply)
        while known:
            yield known.popleft()
        for key in waiting.pop(content):
            yield key, reply
    yield from known
