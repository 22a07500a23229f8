"""A second reader of the same schemas, that says whether a document has any fault, twenty times as fast as jsonschema.

What it says yes to has no fault, and is not looked at again. What it says no to is for jsonschema to
explain, and to overrule. tests/unit/test_verdict.py holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jsonschema_rs
from jsonschema import FormatChecker


class Verdict:
    """Of one schema; `formats` are those that jsonschema goes by."""

    def __init__(self, schema: Mapping[str, Any], formats: FormatChecker) -> None:
        checks = {name: _yes_or_no(formats, name) for name in formats.checkers}
        self._validator = jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, formats=checks)

    def sound(self, document: object) -> bool:
        """False also for what it cannot read, such as text with a lone surrogate, which is no JSON."""
        try:
            return self._validator.is_valid(document)
        except ValueError:
            return False


def _yes_or_no(formats: FormatChecker, name: str) -> Callable[[str], bool]:
    function, raises = formats.checkers[name]

    def conforms(value: str) -> bool:
        try:
            return bool(function(value))
        except raises:
            return False

    return conforms
