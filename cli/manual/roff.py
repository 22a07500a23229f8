"""A page for `man`, in the macros of man(7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cli.manual.pages import Option, Page


def roff(page: Page, version: str) -> str:
    """The text of a page of section 1."""
    return "\n".join(_lines(page, version)) + "\n"


def file_name(page: Page) -> str:
    return f"{title(page)}.1"


def title(page: Page) -> str:
    return page.name.replace(" ", "-")


def _lines(page: Page, version: str) -> Iterator[str]:
    yield f'.TH "{title(page).upper()}" "1" "" "notification-system {_escaped(version)}" "notify"'
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
    for line, why in page.examples:
        yield from (
            ".PP",
            f"{_escaped(why[:1].upper() + why[1:])}:",
            ".PP",
            ".nf",
            f".RS 4\n{_escaped(line)}\n.RE",
            ".fi",
        )


def _escaped(text: str) -> str:
    """What roff would take for its own: backslashes, hyphens that are minus signs, quotes, dots that begin a line."""
    marked = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{marked}" if marked.startswith(".") else marked
