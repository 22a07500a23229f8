"""Reader of the environment: it finds every fault at once, and names each with its fix."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from typing import Any

from settings.checks import CHECKS, RULES
from settings.errors import SettingsError
from settings.values import Settings


@cache
def load() -> Settings:
    """Return the settings of this process."""
    return read(os.environ)


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in an environment. An unset or empty variable means the default. Raises SettingsError."""
    settings, wrong = examined(environ)
    if wrong:
        raise SettingsError(wrong[0])
    return settings


def examined(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings in an environment, and a sentence for each fault. A wrong number or choice is its default."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for setting in fields(Settings):
        raw = environ.get(setting.name.upper(), "").strip()
        if raw:
            try:
                values[setting.name] = _parse(setting.name.upper(), raw, setting.type, setting.metadata)
            except SettingsError as error:
                wrong.append(str(error))
    settings = Settings(**values)
    try:
        settings = _timed_by_url(settings, values)
    except SettingsError as error:
        wrong.append(str(error))
    wrong += [sentence for kept, sentence in RULES if not kept(settings)]
    for check in CHECKS:
        try:
            check(settings)
        except SettingsError as error:
            wrong.append(str(error))
    return settings, wrong


def _parse(name: str, raw: str, kind: object, metadata: Mapping[str, Any]) -> object:
    choices = metadata.get("choices")
    if choices and raw not in choices:
        raise SettingsError(f"{name} is {raw!r}: give one of {', '.join(c for c in choices if c)}")
    if kind == "str":
        return raw
    number = int if kind == "int" else float
    low, high = metadata["low"], metadata["high"]
    try:
        value = number(raw)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise SettingsError(f"{name} is {raw!r}: give a number from {low:g} to {high:g}")
    return value


def _timed_by_url(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Return the settings with the option socket_timeout of REDIS_URL as REDIS_TIMEOUT.

    A malformed REDIS_URL is reported by `_check_redis`.
    """
    try:
        found = settings.sentinels or (settings.redis_url and settings.redis_server)
    except SettingsError:
        return settings
    seconds = found.options.get("socket_timeout") if found else None
    if seconds is None:
        return settings
    if given.get("redis_timeout", seconds) != seconds:
        raise SettingsError("REDIS_URL has the option socket_timeout, and REDIS_TIMEOUT differs: remove one of them")
    return replace(settings, redis_timeout=seconds)
