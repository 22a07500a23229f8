"""With TRACING=off no spans are created; with TRACING=on a missing library is reported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from settings import SettingsError, read
from tests.processes import ROOT

WITHOUT = "import sys; sys.modules |= {'opentelemetry.sdk': None, 'opentelemetry.exporter': None}; "
LOADING = "from runtime import tracing; from settings import read; "
LOADED = """
import sys
import redis  # Which imports what of it is there.
theirs = set(sys.modules)
import actors.worker, api.app
app = api.app.create_app()
ours = set(sys.modules) - theirs
print(sorted(name for name in ours if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))))
"""


def said(code: str, **environ: str) -> str:
    inherited = {"PATH": os.environ["PATH"], "REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgresql://h/d"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=inherited | environ, cwd=ROOT, capture_output=True, check=False, text=True
    )
    return done.stdout + done.stderr


def test_disabled_tracing_imports_neither_the_sdk_nor_an_exporter() -> None:
    assert said(LOADED).strip() == "[]"


@pytest.mark.parametrize("missing", ["sdk", "exporter", "exporter.otlp", "sdk.trace"])
def test_tracing_without_its_libraries_is_refused_with_what_to_do(missing: str) -> None:
    text = said(
        f"import sys; sys.modules['opentelemetry.{missing}'] = None; {LOADING}"
        "tracing.check(read({'TRACING': 'on'}).telemetry)"
    )

    assert text.strip().endswith(
        "SettingsError: TRACING is on, but OpenTelemetry is not installed: "
        "run `pip install 'notification-system[tracing]'`, or set TRACING=off"
    )


def test_tracing_is_off_by_default_and_needs_no_libraries_then() -> None:
    assert said(WITHOUT + LOADING + "tracing.check(read({}).telemetry); print('well')").strip() == "well"


@pytest.mark.parametrize(
    "command", [["gunicorn"], ["dramatiq", "actors", "-p", "1", "-t", "1"]], ids=["gunicorn", "dramatiq"]
)
def test_the_programs_do_not_start_with_tracing_on_and_its_libraries_missing(command: list[str]) -> None:
    program = command[0]
    code = f"{WITHOUT}sys.argv = {command!r}\nimport runpy; runpy.run_module({program!r}, run_name='__main__')"
    text = said(code, TRACING="on")

    assert text.count("cannot start: TRACING is on, but OpenTelemetry is not installed") == 1
    assert "Traceback" not in text


def test_a_setting_that_is_neither_on_nor_off_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^TRACING is 'yes': give one of off, on"):
        read({"TRACING": "yes"})
