"""docs/cli.md: all pages as one document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cli.manual.pages import Option, Page
from cli.terminal.failure import CODES

HEAD = """# The command line

Made of the commands themselves by `python docs/command_line.py > docs/cli.md`; do not edit. The same is in
`notify COMMAND --help`.

Most commands talk to the API at `--url` or `NOTIFY_URL`, with the key in `NOTIFY_KEY`. Commands for operators
(`clients`, `keys`, `retention`, `erase`, `export`, `audit`, `doctor`, `top`, `drain` and the like) talk to PostgreSQL
and Redis themselves: to DATABASE_URL and REDIS_URL, or to the servers of the `notify up` that runs on DATA_DIR.
`--json` is for scripts.

## Exit codes

They are the same for every command. Scripts can rely on them.

| code | means |
|---|---|
"""


def document(pages: Iterable[Page]) -> str:
    """The whole document."""
    codes = "\n".join(f"| {code} | {what} |" for code, what in CODES.items())
    return HEAD + codes + "\n\n" + "\n".join(line for page in pages for line in _section(page))


def _section(page: Page) -> Iterator[str]:
    depth = "##" if " " not in page.path else "###"
    yield f"{depth} {page.name}\n"
    for paragraph in page.paragraphs:
        yield f"{_escaped(paragraph)}\n"
    yield f"    {page.usage}\n"
    yield from _table("command", page.commands)
    yield from _table("option", page.options)
    if page.examples:
        yield "Examples:\n"
        yield "\n".join(f"    {line}    # {why}" for line, why in page.examples) + "\n"
    yield from _table("variable", [Option(*pair) for pair in page.environment.items()])
    yield f"Exit codes: {', '.join(map(str, page.codes))}.\n"


def _table(heading: str, entries: list[Option]) -> Iterator[str]:
    if entries:
        rows = (f"| `{_cell(entry.names)}` | {_escaped(_cell(entry.help))} |" for entry in entries)
        yield "\n".join([f"| {heading} | |", "|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "\\<").replace("_", "\\_").replace("*", "\\*")
