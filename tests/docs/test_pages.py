"""Every code block of every page does what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import blocks, pages
from tests.docs.conftest import Reading
from tests.docs.documented import Documented
from tests.processes import ROOT

# Blocks that cannot be executed here, each marked with its reason. One more has to be counted here.
NOT_RUN = 23
PAGES = pages(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_does_what_the_page_says(page: Path, read: Reading, documented: Documented) -> None:
    faults = read(blocks(page.read_text()))

    assert not faults, "\n".join([*faults, documented.logs()])


def test_blocks_that_are_not_executed_are_limited_in_number_and_give_a_reason() -> None:
    reasons = [block.not_run for page in PAGES for block in blocks(page.read_text()) if block.not_run]

    assert len(reasons) <= NOT_RUN, "\n".join(reasons)
    assert all(len(reason.split()) >= 3 for reason in reasons), reasons
