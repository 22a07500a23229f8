"""The code blocks of a page, in order, with what the comments before them say.

A comment directly before a block is a marker, in one of the forms of MARKER:

    <!-- not run: REASON -->        it cannot be run here
    <!-- file: NAME -->             it is a file of the reader's, and is written there
    <!-- schema: NAME -->           it is valid JSON of that schema of the API
    <!-- aside: sh                  commands that no reader sees: what they would have already, or tidying up
    COMMANDS
    -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

SHELL = {"sh", "bash", "console"}
JAVASCRIPT = {"javascript", "js"}
OUTPUT = {"", "text", "http"}
MARKER = re.compile(r"<!--\s*(not run|file|schema|aside): *(.*?)\s*-->", re.DOTALL)
# Made by a program, whose own test holds them: what they show is how a command is called, with no system around it.
GENERATED = {"cli.md"}
# What MyST makes of a page is no code.
DIRECTIVES = {"{toctree}", "{include}", "{figure}"}


class UnknownMarker(Exception):
    """A comment that says nothing the tests understand."""


@dataclass(frozen=True)
class Block:
    """One block. `output` is the block right after it that shows what it prints, if there is one."""

    line: int
    language: str
    text: str
    not_run: str = ""
    file: str = ""
    schema: str = ""
    output: str = ""

    @property
    def commands(self) -> str:
        """The commands that a shell is to run."""
        if self.language != "console":
            return self.text
        return "".join(line[2:] for line in self.text.splitlines(keepends=True) if line.startswith(("$ ", "> ")))

    @property
    def printed(self) -> str:
        """The output that the page shows for its commands."""
        if self.language != "console":
            return self.output
        return "".join(line for line in self.text.splitlines(keepends=True) if not line.startswith(("$ ", "> ")))


def pages(root: Path) -> list[Path]:
    """All that people read; README.md first."""
    generated = {root / "docs" / "reference", *(root / "docs" / name for name in GENERATED)}
    found = [page for page in sorted((root / "docs").rglob("*.md")) if generated.isdisjoint({page, *page.parents})]
    return [root / "README.md", *(root / name for name in ("CONTRIBUTING.md",) if (root / name).exists()), *found]


def blocks(text: str) -> list[Block]:
    """The blocks of a page; an output is part of the block that prints it.

    Raises:
        UnknownMarker: where a comment is none of MARKER.
    """
    found: list[Block] = []
    for block in _marked(MarkdownIt("commonmark").parse(text)):
        printer = found[-1] if found else None
        if block.language in OUTPUT and not (block.not_run or block.file):
            if printer is None or printer.language not in SHELL or printer.output or printer.not_run:
                raise UnknownMarker(
                    f"line {block.line}: no command before it prints this, and no comment says what it is"
                )
            found[-1] = Block(**{**vars(printer), "output": block.text})
        elif block.language not in DIRECTIVES:
            found.append(block)
    return found


def _marked(tokens: list[Token]) -> Iterator[Block]:
    """Fences, indented blocks (which are shell) and asides; a marker belongs to what comes next."""
    markers: dict[str, str] = {}
    for token in tokens:
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block" and token.content.startswith("<!--"):
            for kind, said in _said(token.content, line):
                if kind == "aside":
                    language, _, commands = said.partition("\n")
                    yield Block(line, language.strip(), commands + "\n")
                else:
                    markers[kind.replace(" ", "_")] = said
        elif token.type == "fence":
            language = token.info.strip().split(maxsplit=1)[0] if token.info.strip() else ""
            yield Block(line, language, token.content, **markers)
            markers = {}
        elif token.type == "code_block":
            yield Block(line, "sh", token.content, **markers)
            markers = {}
        elif markers and token.type in ("inline", "heading_open"):
            raise UnknownMarker(f"line {line}: a comment before a text marks no block: {markers}")


def _said(comments: str, line: int) -> list[tuple[str, str]]:
    found = MARKER.findall(comments)
    if len(found) != comments.count("<!--"):
        raise UnknownMarker(f"line {line}: {comments.strip()!r} is none of: not run, file, schema, aside")
    return [(kind, said) for kind, said in found]
