"""Files of other projects are those that their text file beside them describes, with their licence."""

from __future__ import annotations

import hashlib
import re

import pytest

from api.dashboard.assets import PLACE


@pytest.mark.parametrize("name", ["swagger", "uplot"])
def test_a_bundled_file_is_unchanged_and_comes_with_its_licence(name: str) -> None:
    about = (PLACE / f"{name}.txt").read_text()
    told = dict(re.findall(r"^  (\S+) +sha256 ([0-9a-f]{64})$", about, flags=re.MULTILINE))

    assert told.keys() == {f"{name}.js", f"{name}.css"}
    for file, digest in told.items():
        assert hashlib.sha256((PLACE / file).read_bytes()).hexdigest() == digest
    assert re.search(r"Permission is hereby granted|Apache License", about)
