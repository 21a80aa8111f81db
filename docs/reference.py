"""A hook of MkDocs: the API reference is a page for each package under `src`, found by listing, never by hand."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).resolve().parent.parent / "src"
FACE = "intervalchange"


def packages() -> list[str]:
    """Dotted names of the packages that hold modules, in alphabetical order, the public face first."""
    folders = sorted(path.parent for path in (SOURCE / FACE).rglob("__init__.py"))
    return [".".join(folder.relative_to(SOURCE).parts) for folder in folders]


def modules(package: str) -> list[str]:
    """Dotted names of the modules of a package that have something to show, the package itself first."""
    folder = SOURCE.joinpath(*package.split("."))
    names = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    return [package, *(f"{package}.{name}" for name in names)]


def page_of(package: str) -> str:
    """The page's path inside docs: `api/evaluation.metrics.md`; the face is `api/index.md`."""
    return f"api/{package.removeprefix(FACE).lstrip('.') or 'index'}.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, where it says `API: []`."""
    pages = [{package.removeprefix(FACE + "."): page_of(package)} for package in packages()]
    for entry in config.nav or []:
        if "API" in entry:
            entry["API"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages: mkdocstrings fills them from the docstrings."""
    for package in packages():
        blocks = "\n".join(f"::: {name}\n" for name in modules(package))
        files.append(File.generated(config, page_of(package), content=f"# {package}\n\n{blocks}"))
    return files
