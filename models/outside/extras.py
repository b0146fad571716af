"""Optional packages: asked for when a model needs them, with the extra that brings them."""

from __future__ import annotations

import importlib
from types import ModuleType

from raiaudit.errors import UsageError

__all__ = ["require"]


def require(module: str, *, extra: str, what: str) -> ModuleType:
    """The module. `UsageError` says which extra to install where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f"{what} needs the package {module.split('.')[0]}, which is not installed",
            remedy=f"pip install 'raiaudit[{extra}]'",
        ) from None
