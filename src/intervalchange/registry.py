"""Which stages there are: the listing of the folders. No torch.

A method is a folder, and a stage is a module in it that has a preset beside it: `methods/c2f/align.py` with
`align.small.yaml` is `c2f/align`. `tasks/` is laid out in the same way. Another installed package adds methods of
its own by an entry point in the group `intervalchange.methods`: its name is METHOD, its value a package laid out
likewise.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata, resources
from importlib.resources.abc import Traversable

from intervalchange.errors import ConfigError, did_you_mean

ENTRY_POINTS = "intervalchange.methods"
_NO_METHODS = {"base", "__pycache__"}
"""Folders of `methods/` that hold no stage: what several methods share."""

_registered: dict[str, tuple[str, str]] = {}
"""Stage -> (module, class) of the stages that `register` has added."""


@cache
def packages() -> dict[str, str]:
    """METHOD -> the package that holds its stages and presets: ours by name, then installed ones, tasks last."""
    ours = resources.files("intervalchange") / "methods"
    names = sorted(entry.name for entry in ours.iterdir() if entry.is_dir() and entry.name not in _NO_METHODS)
    package_of = {name: f"intervalchange.methods.{name}" for name in names} | {"tasks": "intervalchange.tasks"}
    for point in metadata.entry_points(group=ENTRY_POINTS):
        if package_of.setdefault(point.name, point.value) != point.value:
            raise ConfigError(
                f"two packages bring a method {point.name!r}: {package_of[point.name]} and {point.value}.",
                remedy="Uninstall one of them.",
            )
    return package_of | {"tasks": package_of.pop("tasks")}


def folder_of(method: str) -> Traversable | None:
    """The folder of a method; None where there is no such method."""
    package = packages().get(method)
    return resources.files(package) if package else None


def presets_of(stage: str) -> dict[str, Traversable]:
    """Size -> preset file of METHOD/STAGE, in alphabetical order; empty for a stage that is not in the folders."""
    method, _, name = stage.partition("/")
    folder = folder_of(method)
    if folder is None:
        return {}
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    split = [(file.name.split("."), file) for file in files]
    return {parts[1]: file for parts, file in split if len(parts) == 3 and parts[0] == name}


@cache
def _stages_of(method: str) -> tuple[str, ...]:
    """The stages of a method: its modules that have a preset beside them, in alphabetical order."""
    folder = folder_of(method)
    names = {file.name for file in folder.iterdir()} if folder is not None else set()
    with_presets = {name.split(".")[0] for name in names if name.endswith(".yaml") and name.count(".") == 2}
    return tuple(f"{method}/{name}" for name in sorted(with_presets) if f"{name}.py" in names)


def stages() -> tuple[str, ...]:
    """Every METHOD/STAGE, by method: those of the folders, then those that `register` has added."""
    listed = [stage for method in packages() for stage in _stages_of(method)]
    return (*listed, *_registered)


def register(stage: str, module: str, name: str) -> None:
    """Add a METHOD/STAGE of one's own: the name of the class in a module, `__name__` in a script.

    Its presets are files of one's own (`--size FILE.yaml`). Raises ConfigError for a stage that exists already.
    """
    if stage in stages() and _registered.get(stage) != (module, name):
        raise ConfigError(f"there is a stage {stage!r} already.", remedy="Give yours another name.")
    _registered[stage] = (module, name)


def stage_class(stage: str) -> type:
    """The class behind METHOD/STAGE, e.g. `real/answer`: the one in its module whose `name` is the stage.

    Imports the module, and with it torch. Raises ConfigError for an unknown stage, with the closest known one, for one
    without a preset, and for a class whose `config_class` or `model_type` is missing or another's.
    """
    if stage in _registered:
        module, name = _registered[stage]
        registered: type = getattr(import_module(module), name)
        return registered
    if stage not in stages():
        _refuse_without_preset(stage)
        remedy = did_you_mean(stage, stages(), otherwise="See `intervalchange train --list`.")
        raise ConfigError(f"unknown stage {stage!r}.", remedy=remedy)
    method, _, name = stage.partition("/")
    loaded = import_module(f"{packages()[method]}.{name}")
    own = [kind for kind in vars(loaded).values() if isinstance(kind, type) and kind.__module__ == loaded.__name__]
    named = [kind for kind in own if getattr(kind, "name", None) == stage]
    if len(named) != 1:
        raise ConfigError(
            f"{loaded.__name__} has {len(named)} classes whose name is {stage!r}.",
            where=loaded.__file__,
            remedy=f'Give its Method the line `name = "{stage}"`.',
        )
    _check_configuration(named[0], stage)
    return named[0]


def _refuse_without_preset(stage: str) -> None:
    """A module without a preset is no stage yet: say so, rather than name another stage."""
    method, _, name = stage.partition("/")
    folder = folder_of(method)
    if folder is not None and name and (folder / f"{name}.py").is_file():
        remedy = f"Write {name}.tiny.yaml and {name}.small.yaml into the same folder (docs/how-to/add-a-method.md)."
        raise ConfigError(f"{stage} has no preset.", where=str(folder / f"{name}.py"), remedy=remedy)


def _check_configuration(kind: type, stage: str) -> None:
    """Refuse a class without `config_class`, or with another method's `model_type`, before anything is trained."""
    config = getattr(kind, "config_class", None)
    if not isinstance(config, type):  # transformers takes the annotation `config: NAME` for it, as a string.
        raise ConfigError(
            f"{kind.__name__} has no configuration.",
            where=kind.__module__,
            remedy=f"Give it the line `config_class = {config or 'ITS_CONFIGURATION'}`.",
        )
    expected = stage.removesuffix("/answer").replace("/", "_")
    if getattr(config, "model_type", "") != expected:
        raise ConfigError(
            f"{config.__name__} says model_type = {getattr(config, 'model_type', '')!r}.",
            where=kind.__module__,
            remedy=f'Weights of {stage} are known by `model_type = "{expected}"`.',
        )
