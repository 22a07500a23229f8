"""Late imports: an installation need not have the packages of commands that it does not use."""

from __future__ import annotations

import importlib
from typing import Any

from settings import SettingsError


def attribute(place: str, needed: str = "") -> Any:
    """Import "module:name" and return it.

    Where a package that the module imports is not installed, raises SettingsError with the text `needed`.
    """
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if not needed:
            raise
        raise SettingsError(f"{error.name} is not installed: {needed}") from error
