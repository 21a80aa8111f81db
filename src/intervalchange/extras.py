"""Which extra of the package brings a module that is not installed."""

from __future__ import annotations

from intervalchange.errors import MissingPackageError

PACKAGES = {
    "torch": ("torch", "models"),
    "transformers": ("transformers", "models"),
    "accelerate": ("accelerate", "models"),
    "tokenizers": ("tokenizers", "models"),
    "safetensors": ("safetensors", "models"),
    "huggingface_hub": ("huggingface_hub", "models"),
    "jsonargparse": ("jsonargparse", "models"),
    "gdcm": ("python-gdcm", "models"),
    "jpeg_ls": ("pyjpegls", "models"),
    "PIL": ("pillow", "models", "simulate"),
    "pydicom": ("pydicom", "models", "simulate"),
    "scipy": ("scipy", "models", "simulate"),
    "numba": ("numba", "simulate"),
    "faster_coco_eval": ("faster-coco-eval", "eval"),
    "pycocoevalcap": ("pycocoevalcap", "eval"),
    "sklearn": ("scikit-learn", "eval"),
    "torchmetrics": ("torchmetrics", "eval"),
    "ray": ("ray", "ray"),
    "monai": ("monai", "segmentation"),
    "radgraph": ("radgraph", "clinical"),
    "highdicom": ("highdicom", "serve"),
    "fastapi": ("fastapi", "serve"),
    "uvicorn": ("uvicorn", "serve"),
    "multipart": ("python-multipart", "serve"),
    "prometheus_client": ("prometheus-client", "serve"),
    "inspect_ai": ("inspect-ai", "inspect"),
}
"""Module -> the package that brings it, and the extras of `pyproject.toml` that list that package."""


def missing_package(problem: ModuleNotFoundError, wanted: str) -> MissingPackageError | None:
    """What to install so that `wanted` (a verb, or a name of the package) works; None for a module of no extra.

    Of several extras, the one called like `wanted` is named: `simulate` for the verb `simulate`.
    """
    module = (problem.name or "").split(".")[0]
    if module not in PACKAGES:
        return None
    package, *extras = PACKAGES[module]
    extra = wanted if wanted in extras else extras[0]
    return MissingPackageError(f"{wanted} needs {package}:", remedy=f"pip install 'intervalchange[{extra}]'")
