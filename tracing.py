"""Whether this process makes traces, decided once at its start.

Where TRACING is off nothing of OpenTelemetry is imported, and what could be traced is made of the same classes as
if there were no tracing: no branch is taken anywhere. Where it is on, subclasses take their places.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar

from settings import Settings, SettingsError

T = TypeVar("T")

NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


def check(settings: Settings) -> None:
    """Raise a SettingsError where TRACING is on and the extra that it needs is not installed."""
    if settings.tracing == "on" and not all(map(_is_there, NEEDED)):
        raise SettingsError(
            "TRACING is on and OpenTelemetry is not installed: "
            "run `pip install 'notification-system[tracing]'`, or set TRACING=off"
        )


def chosen(settings: Settings, plain: type[T], traced: str) -> type[T]:
    """`plain`, or where TRACING is on the subclass of it that `traced` names as `module:Class`."""
    if settings.tracing == "off":
        return plain
    module, _, name = traced.partition(":")
    found: type[T] = getattr(import_module(module), name)
    return found


def start(settings: Settings, process: str) -> None:
    """Begin to make and to export traces, where TRACING is on; in the process that makes them, after its fork."""
    if settings.tracing == "on":
        check(settings)
        import_module("telemetry").start(process)


def stop(settings: Settings) -> None:
    """Export what was made and not exported yet, for up to TRACING_FLUSH seconds."""
    if settings.tracing == "on":
        import_module("telemetry").stop(settings.tracing_flush)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
