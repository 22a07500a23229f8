"""Settings of templates and of the processes that render them."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSettings(Group):
    """Read by api.rendering and api.resources.templates."""

    processes: int = number("RENDER_PROCESSES", 2, "processes", low=1, high=64)
    """How many processes render templates for each API process. They start when the first template is used; one client
    never occupies all of them unless there is only one."""
    cpu: float = number("RENDER_CPU", 0.5, "seconds", low=0.01, high=60)
    """The CPU time to check, compile and render one template; then its process is ended."""
    timeout: float = number("RENDER_TIMEOUT", 5, "seconds", low=0.1, high=300)
    """The time for one rendering with its wait; then the answer is 503."""
    batch_timeout: float = number("BATCH_RENDER_TIMEOUT", 30, "seconds", low=0.1, high=3_600)
    """The time to render all items of a batch; then the answer is 503."""
