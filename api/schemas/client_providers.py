"""Check the names of the providers that a client may use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from actors.channels import registry
from actors.channels.contract import Fault
from settings import Settings

LISTED = 20  # names in an error


class UnknownProvider(Exception):
    """There is no provider of this name; the message says which there are."""


def configured(settings: Settings) -> dict[str, str]:
    """Return the channel of each provider in these settings, by the name of the provider."""
    channels = registry.channels().items()
    return {account.name: name for name, channel in channels for account in registry.accounts(channel, settings)}


def faults(wanted: Mapping[str, Sequence[str]], known: Mapping[str, str]) -> list[Fault]:
    """Return the faults of `wanted`, which has names by channel. `known`: the channel of each provider."""
    return list(_faults(wanted, known))


def by_channel(names: Iterable[str], known: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names by channel; raise UnknownProvider."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name not in known:
            raise UnknownProvider(f"there is no provider {name!r}; {_there_are(known)}")
        found.setdefault(known[name], []).append(name)
    return found


def _faults(wanted: Mapping[str, Sequence[str]], known: Mapping[str, str]) -> Iterator[Fault]:
    able = [name for name, channel in registry.channels().items() if channel.accounts]
    for channel, names in wanted.items():
        place = f"/providers/{channel.replace('~', '~0').replace('/', '~1')}"
        if channel not in able:
            yield {"pointer": place, "detail": f"must be a channel that has providers: {', '.join(able)}"}
            continue
        of_channel = [name for name, its in known.items() if its == channel]
        for number, name in enumerate(names):
            if name not in of_channel:
                what = f"must be the name of a provider of the channel {channel}; {_there_are(of_channel)}"
                yield {"pointer": f"{place}/{number}", "detail": what}


def _there_are(names: Iterable[str]) -> str:
    some = sorted(names)
    if not some:
        return "no worker has reported one yet"
    return f"there are: {', '.join(some[:LISTED])}{' and others' if len(some) > LISTED else ''}"
