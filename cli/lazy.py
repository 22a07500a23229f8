"""The one place that imports when asked: not every installation has what every command needs."""

from __future__ import annotations

import importlib
from typing import Any

from settings import SettingsError


def attribute(place: str, needed: str = "") -> Any:
    """The object at "module:name". Where the module's own needs are not installed, a SettingsError
    that says what is `needed`.
    """
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if not needed:
            raise
        raise SettingsError(f"{error.name} is not installed: {needed}") from error
