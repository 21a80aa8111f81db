"""`train METHOD/STAGE --help`: every option of a stage, from the classes that define them."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from intervalchange.config import TrainConfig, load_preset
from intervalchange.methods import method_class
from intervalchange.policy import RESEARCH_USE

WIDTH = 110
"""Columns of the page."""


@dataclass(frozen=True)
class Option:
    """A field of a configuration as the command line shows it."""

    flag: str
    type: str
    default: object
    value: object
    """What the preset gives it."""
    description: str


def stage_page(stage: str, size: str) -> str:
    """The page of METHOD/STAGE: options with type, description, default, and their values at a size."""
    preset, kind = load_preset(stage, size), method_class(stage).config_class
    model_hints = kind.options()
    train_hints = typing.get_type_hints(TrainConfig)
    model = options_of("model", kind, model_hints, vars(kind()), vars(kind(**preset.model)))
    train = options_of("train", TrainConfig, train_hints, vars(TrainConfig()), vars(preset.train))
    lines = [f"{stage}, size {preset.size}: options of `intervalchange train {stage} ...`", ""]
    for title, options in (("the model", model), ("its training", train)):
        lines += [f"{title}:", *(line for option in options for line in _lines(option, preset.size)), ""]
    return "\n".join([*lines, RESEARCH_USE])


def options_of(
    section: str,
    kind: type,
    hints: Mapping[str, object],
    defaults: Mapping[str, object],
    values: Mapping[str, object],
) -> Iterator[Option]:
    """The fields of a configuration class, those of its base classes first."""
    descriptions = field_docstrings(kind)
    for name, hint in hints.items():
        yield Option(f"--{section}.{name}", type_words(hint), defaults[name], values[name], descriptions.get(name, ""))


def field_docstrings(kind: type) -> dict[str, str]:
    """Field -> the string that follows it in the source of the class, or of the base class that defines it."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("intervalchange") and base is not kind:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            found.pop(field.target.id, None)
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def type_words(hint: object) -> str:
    """A type as a reader of the command line understands it: `int`, `a | b`, `[int, ...]`."""
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if origin is tuple:
        return f"[{type_words(arguments[0])}, ...]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join("null" if part is types.NoneType else type_words(part) for part in arguments)
    return {"bool": "true | false", "str": "text"}.get(getattr(hint, "__name__", ""), getattr(hint, "__name__", "text"))


def _lines(option: Option, size: str) -> list[str]:
    """The lines of one option."""
    values = f"default {_written(option.default)}"
    if option.value != option.default:
        values += f"; {size}: {_written(option.value)}"
    head = f"  {option.flag}  ({option.type})  {values}"
    return [head, *textwrap.wrap(option.description, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)]


def _written(value: object) -> str:
    """A value as it is given on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f'"[{", ".join(map(_written, value))}]"'
    return {"": '""', "None": "null"}.get(str(value), str(value))
