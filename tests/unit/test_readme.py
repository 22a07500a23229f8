"""Targets of README.md and similar pages exist: links, files, commands, and the programs in them."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from cli import lazy
from cli.main import COMMANDS
from settings import VARIABLES
from settings.removed import REMOVED

ROOT = Path(__file__).parents[2]
# Made by programs, and held by the tests of those.
GENERATED = {"docs/cli.md"}
# Includes of the pages at the root, which stand for themselves.
INCLUDES = {"docs/changelog.md", "docs/contributing.md"}
DOCUMENTS = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")} - GENERATED - INCLUDES
PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", *sorted(DOCUMENTS)]
README_LINES = 200
# What a document may name besides files of the project: what a reader writes, and what a program makes.
ELSEWHERE = {".data", "docker/.env", "orders.py", "pager.py", "receiver.py", "shop.py", "shop_settings.py", "submit.py"}
MADE = {"reference/index.md"}  # by `make docs`, whose test follows the links to it
# Environment variables of other programs, and of readers.
OTHERS = {"DATA_DIR", "CATCHER_KEEP", "NOTIFY_URL", "NOTIFY_KEY", "TEST_KEY"}
OF_FCM = {
    *("INVALID_ARGUMENT", "THIRD_PARTY_AUTH_ERROR", "SENDER_ID_MISMATCH", "PERMISSION_DENIED", "NOT_FOUND"),
    "QUOTA_EXCEEDED",
}
OF_DJANGO = {"DEFAULT_FROM_EMAIL", "DJANGO_SETTINGS_MODULE", "EMAIL_BACKEND", "INSTALLED_APPS"}
OF_DJANGO |= {"EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"}
OF_A_BENCHMARKED_SYSTEM = {"MAIL_URL", "NODE_ENV", "REDIS_HOST", "REDIS_PORT", "SMTP_HOST", "SMTP_PORT"}
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:md|py|yaml|cfg|toml)|(?:docs|docker|tests|benchmarks)/[\w./-]*")


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def code_in(page: str) -> list[str]:
    """Each line of code, be it in a block or within a sentence."""
    text = text_of(page)
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    blocks = [line for block in fenced for line in block.splitlines()]
    indented = re.findall(r"^    (.+)$", text, flags=re.MULTILINE)
    return blocks + indented + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_has_an_existing_target(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        if target.startswith("https://") or target in MADE:
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES)
def test_every_named_file_exists(page: str) -> None:
    for code in code_in(page):
        for name in FILE.findall(re.sub(r"\]\([^)]*\)", "", code)):
            assert name in ELSEWHERE or (ROOT / name).exists(), code


def calls(program: str) -> list[tuple[str, list[str]]]:
    """Each line of code that calls this program, in any page, with the words after it."""
    lines = [code for page in PAGES for code in code_in(page)]
    words = [(code, code.partition("#")[0].split()) for code in lines]
    return [(code, rest) for code, (first, *rest) in ((c, w or [""]) for c, w in words) if _named(first) == program]


def _named(word: str) -> str:
    return word.rpartition("/")[2]


@pytest.mark.parametrize("program", ["gunicorn", "dramatiq", "notify"])
def test_every_program_in_an_example_is_installed(program: str) -> None:
    assert calls(program)
    assert program in {script.name for script in entry_points(group="console_scripts")}


def test_every_named_make_target_exists() -> None:
    targets = set(re.findall(r"^([\w./-]+):", text_of("Makefile"), flags=re.MULTILINE))
    called = {target for _, words in calls("make") for target in words if "=" not in target}
    assert {"run", "test"} <= called
    assert called <= targets


def test_every_command_in_an_example_exists_with_its_options() -> None:
    called = [(code, words) for code, words in calls("notify") if words]
    assert len(called) > len(COMMANDS) / 2
    options = 0
    for code, words in called:
        command = command_of(words)
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= {option for parameter in command.params for option in parameter.opts}, code
        options += len(given)
    assert options


def command_of(words: list[str]) -> click.Command:
    """The command, or the command of a group, that these words call."""
    command = lazy.attribute(COMMANDS[words[0]])
    if isinstance(command, click.Group) and words[1:]:
        command = command.commands[words[1]]
    assert isinstance(command, click.Command)
    return command


def test_every_command_is_explained() -> None:
    explained = re.findall(r"^## notify ([a-z]+)$", text_of("docs/cli.md"), flags=re.MULTILINE)
    assert set(explained) == set(COMMANDS)


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


def test_the_readme_links_to_every_page() -> None:
    linked = re.findall(r"\]\((docs/[a-z_-]+\.md)", text_of("README.md"))
    assert set(linked) >= (DOCUMENTS | GENERATED) - {"docs/index.md"}


# Codes in the answers of push services.
OF_PUSH_SERVICES = {"INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "QUOTA_EXCEEDED", "SENDER_ID_MISMATCH"}
OF_PUSH_SERVICES |= {"THIRD_PARTY_AUTH_ERROR"}


@pytest.mark.parametrize("page", PAGES)
def test_every_named_setting_exists(page: str) -> None:
    others = OTHERS | (OF_A_BENCHMARKED_SYSTEM if page == "docs/benchmarks.md" else set())
    named = set(re.findall(r"\b(?!OTEL_|PROVIDER_)[A-Z]+(?:_[A-Z]+)+\b", text_of(page)))
    others |= OF_DJANGO if page in ("docs/clients.md", "docs/smtp_submission.md") else set()
    others |= OF_FCM if page == "docs/push.md" else set()
    others |= OF_PUSH_SERVICES if page == "docs/push.md" else set()
    others |= REMOVED if page == "CHANGELOG.md" else set()
    assert named <= VARIABLES.keys() | others
