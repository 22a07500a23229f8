"""`notify templates`: put, list, show, preview and delete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cli.client import reading
from cli.client.notifications import at_url, in_json
from cli.terminal import show

_version = click.option("--version", type=click.IntRange(min=1), help="The version; the newest one if not given.")
COLUMNS = {"name": "NAME", "version": "VERSION", "createdAt": "CREATED"}


@click.group(short_help="Manage templates.")
def templates() -> None:
    """Manage templates: subjects and texts with variables, stored by name and version."""


@templates.command
@click.argument("name")
@click.option("--subject", required=True, help="The subject, in Jinja2 syntax.")
@click.option("--text", type=reading.file, required=True, help="A file with the text; `-` is standard input.")
@click.option("--html", type=reading.file, help="A file with the HTML; `-` is standard input.")
@click.option("--schema", type=reading.file, help="A file with the JSON Schema of the variables.")
@at_url
@in_json
def put(client: Any, as_json: bool, name: str, subject: str, **files: Path | None) -> None:
    """Store a new version of a template."""
    wanted: dict[str, Any] = {"subject": subject}
    for part in ("text", "html"):
        if (path := files[part]) is not None:
            wanted[part] = reading.text_of(path, f"--{part}")
    if (path := files["schema"]) is not None:
        wanted["schema"] = reading.object_in(reading.text_of(path, "--schema"), "--schema")
    answer = client.put_template(name, wanted)
    click.echo(show.document(answer.raw) if as_json else _named(answer.json))


@templates.command("list")
@click.option("--cursor", help="Continue after the page that printed this cursor.")
@at_url
@in_json
def list_(client: Any, as_json: bool, cursor: str | None) -> None:
    """List templates, by name."""
    answer = client.templates(cursor=cursor)
    click.echo(show.document(answer.raw) if as_json else show.page(answer.json, COLUMNS))


@templates.command("show")
@click.argument("name")
@_version
@at_url
@in_json
def show_(client: Any, as_json: bool, name: str, version: int | None) -> None:
    """Show a version of a template."""
    answer = client.template(name, version)
    one = answer.json
    parts = {"subject": one["subject"], "text": one["text"], "html": one["html"]}
    schema = one["schema"] and json.dumps(one["schema"], indent=2, ensure_ascii=False)
    click.echo(show.document(answer.raw) if as_json else _parts(_named(one), {**parts, "schema": schema}))


@templates.command
@click.argument("name")
@click.option(
    "--variables",
    metavar="JSON",
    default="{}",
    show_default=True,
    help="The variables; `-` reads them from standard input.",
)
@_version
@at_url
@in_json
def preview(client: Any, as_json: bool, name: str, variables: str, version: int | None) -> None:
    """Render a template with variables, without sending anything."""
    values = reading.object_in(reading.text(variables, "--variables"), "--variables")
    wanted = {"variables": values, **({"version": version} if version else {})}
    answer = client.preview(name, wanted)
    one = answer.json
    parts = {"subject": one["subject"], "message": one["message"], "html": one["html"]}
    click.echo(show.document(answer.raw) if as_json else _parts(_named(one["template"]), parts))


@templates.command
@click.argument("name")
@at_url
def delete(client: Any, name: str) -> None:
    """Delete all versions of a template. Notifications that were sent keep their text."""
    client.delete_template(name)
    click.echo(f"Template {show.plain(name)}: deleted")


def _named(one: Any) -> str:
    return show.plain(f"Template {one['name']}, version {one['version']}")


def _parts(heading: str, parts: dict[str, str | None]) -> str:
    return "\n".join([heading, *(f"\n{name}:\n{show.body(text)}" for name, text in parts.items() if text)])
