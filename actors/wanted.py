"""Request to the claim store: the ids of a message, and how to claim them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Wanted(NamedTuple):
    """Ids to claim.

    `if_sandbox`: ids to claim if they are for the sandbox. `at_once`: how many of the first ids may be begun as soon as
    they are claimed. `providers`: the names of the providers for which they are claimed, if there are several.
    """

    ids: Sequence[int]
    if_sandbox: Sequence[int] = ()
    at_once: int = 0
    providers: Mapping[int, str] = MappingProxyType({})
