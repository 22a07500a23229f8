"""A page for `man`, in the macros of man(7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cli.manual.pages import Option, Page


def roff(page: Page, version: str, day: str) -> str:
    """The text of a page of section 1; `day` is when it was made, as ISO 8601 has it."""
    return "\n".join(_lines(page, version, day)) + "\n"


def file_name(page: Page) -> str:
    return f"{title(page)}.1"


def title(page: Page) -> str:
    return page.name.replace(" ", "-")


def _lines(page: Page, version: str, day: str) -> Iterator[str]:
    yield f'.TH "{title(page).upper()}" "1" "{day}" "notification-system {_escaped(version)}" "notify"'
    yield ".SH NAME"
    yield f"{_escaped(title(page))} \\- {_escaped(page.summary.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_escaped(page.name)}"
    yield _escaped(page.usage.removeprefix(page.name).strip())
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(page.paragraphs):
        yield from ([".PP"] if number else [])
        yield _escaped(paragraph)
    yield from _list("COMMANDS", page.commands)
    yield from _list("OPTIONS", page.options)
    yield from _list("ENVIRONMENT", [Option(*pair) for pair in page.environment.items()])
    yield from _codes(page.codes)
    yield from _examples(page)


def _list(heading: str, entries: list[Option]) -> Iterator[str]:
    if entries:
        yield f".SH {heading}"
    for entry in entries:
        yield ".TP"
        yield f".B {_escaped(entry.names)}"
        yield _escaped(entry.help) or "\\&"


def _codes(codes: Mapping[int, str]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, what in codes.items():
        yield from (".TP", f".B {code}", _escaped(what))


def _examples(page: Page) -> Iterator[str]:
    if page.examples:
        yield ".SH EXAMPLES"
    for number, (line, why) in enumerate(page.examples):
        yield from ([".PP"] if number else [])
        yield f"{_escaped(why[:1].upper() + why[1:])}:"
        yield from (".PP", ".RS 4", ".nf", _escaped(line), ".fi", ".RE")


def _escaped(text: str) -> str:
    """What roff would take for its own: backslashes, hyphens that are minus signs, quotes, dots that begin a line."""
    marked = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{marked}" if marked.startswith(".") else marked
