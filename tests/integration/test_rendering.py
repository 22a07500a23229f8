"""The rendering processes: hostile templates are ended, and others are rendered."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from api.rendering.faults import Faulty
from api.rendering.pool import NoRenderer, Pool
from db.coalesce import Full
from settings import Settings, read

pytestmark = pytest.mark.long

GREETING = {"subject": "Hi", "text": "Hello {{ name }}", "html": None, "schema": None}
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
SLOW = {
    "nested loops": ENDLESS,
    "numbers that grow": "{% set n = namespace(x=9) %}{% for i in range(9999) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "a filter": "{{ [1]|slice(10**9)|list }}",
    "text that doubles": "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "wrapping": "{{ range(99999)|list|join|wordwrap(1)|wordwrap(1)|wordwrap(1)|wordwrap(1) }}",
}
LARGE = {
    "a repetition": "{{ 'a' * 10**9 }}",
    "a list": "{{ ['a'] * 10**9 }}",
    "a power": "{{ 9**9**9 }}",
    "a range": "{% for i in range(10**9) %}{% endfor %}",
    "a centered text": "{{ 'x'|center(10**9) }}",
    "a padded text": "{{ 'x'.ljust(10**9) }}",
    "a format": "{{ '{:>1000000000}'.format(1) }}",
    "a percent format": "{{ '%1000000000d'|format(1) }}",
    "an operator": "{{ '%1000000000d' % 1 }}",
    "an indentation": "{{ [1]|tojson(indent=10**9) }}",
    "a replacement": "{{ ('a' * 99999)|replace('a', 'b' * 99999) }}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "deep nesting": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "deep blocks": "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "many signs": "{{ " + "-" * 20_000 + "1 }}",
    "a long path": "{{ name" + ".a" * 30_000 + " }}",
}


def settings(**values: object) -> Settings:
    return read({name.upper(): str(value) for name, value in values.items()})


@asynccontextmanager
async def running(**values: object) -> AsyncIterator[Pool]:
    # On a busy machine the start of a child takes seconds, which count.
    pool = Pool(settings(**{"render_timeout": 60, **values}))
    try:
        yield pool
    finally:
        await pool.close()


async def text_of(pool: Pool, text: str, *, client: int = 1, **variables: Any) -> str:
    source = {**GREETING, "text": text}
    answer = await pool.ask(client, {"key": text, "variables": variables}, source)
    return str(answer["rendered"]["text"])


async def fault_of(asked: Awaitable[Any]) -> str:
    with pytest.raises(Faulty) as caught:
        await asked
    return caught.value.faults[0].detail


def run(test: Callable[[Pool], Awaitable[None]], **values: object) -> None:
    async def main() -> None:
        async with running(**values) as pool:
            await test(pool)

    asyncio.run(main())


def children() -> set[int]:
    """Pids of the processes that this one has started and that live."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # The thread has ended meanwhile.
            found.update(map(int, (task / "children").read_text().split()))
    return found


@pytest.mark.parametrize("kind", SLOW)
def test_a_template_that_takes_too_long_is_a_fault_and_the_next_one_is_rendered(kind: str) -> None:
    async def test(pool: Pool) -> None:
        detail = await fault_of(text_of(pool, SLOW[kind]))
        assert detail in ("takes more than 0.2 seconds of CPU time", "takes too much memory")
        assert await text_of(pool, "Hello {{ name }}", name="Ann") == "Hello Ann"

    run(test, render_cpu=0.2)


def test_a_template_that_needs_too_much_memory_is_a_fault_and_its_process_continues() -> None:
    async def test(pool: Pool) -> None:
        before = children()
        assert await text_of(pool, "Hello {{ name }}", name="Ann") == "Hello Ann"
        [child] = children() - before
        for kind, template in LARGE.items():
            await fault_of(text_of(pool, template))
            assert await text_of(pool, "Hello {{ name }}", name="Ann") == "Hello Ann", kind
            assert children() - before == {child}, kind

    run(test, render_processes=1, render_cpu=20)


def test_a_backtracking_regular_expression_in_a_schema_is_ended() -> None:
    schema = {"properties": {"name": {"pattern": "^(a+)+$"}}}

    async def test(pool: Pool) -> None:
        request = {"key": "k", "variables": {"name": "a" * 60 + "!"}}
        assert "CPU time" in await fault_of(pool.ask(1, request, {**GREETING, "schema": schema}))

    run(test, render_cpu=0.2)


def test_a_template_that_takes_too_long_to_compile_is_refused() -> None:
    async def test(pool: Pool) -> None:
        source = {**GREETING, "text": "{{ name }}" * 20_000}
        assert "CPU time" in await fault_of(pool.ask(1, {"key": "k", "source": source}, source))

    run(test, render_cpu=0.1)


def test_clients_whose_templates_exceeded_the_time_share_all_children_but_one() -> None:
    async def test(pool: Pool) -> None:
        before = children()
        for client in (1, 2):
            await fault_of(text_of(pool, ENDLESS, client=client))
        endless = [asyncio.create_task(fault_of(text_of(pool, ENDLESS, client=1 + n % 2))) for n in range(4)]
        alive = 0
        while not all(task.done() for task in endless):
            alive = max(alive, len(children() - before))
            await asyncio.sleep(0.01)
        assert alive == 1
        assert await text_of(pool, "Hello {{ name }}", client=3, name="Ann") == "Hello Ann"

    run(test, render_processes=2, render_cpu=0.2)


def test_no_template_is_blamed_when_a_signal_ends_its_child_process() -> None:
    async def test(pool: Pool) -> None:
        before = children()
        await text_of(pool, "a")
        [child] = children() - before
        os.kill(child, signal.SIGKILL)
        assert await text_of(pool, "Hello {{ name }}", name="Ann") == "Hello Ann"

    run(test, render_processes=1)


def test_a_child_that_does_not_answer_is_ended_without_blaming_the_template() -> None:
    async def test(pool: Pool) -> None:
        before = children()
        await text_of(pool, "a")
        [child] = children() - before
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(NoRenderer):
            await text_of(pool, "a")
        assert await text_of(pool, "b") == "b"

    run(test, render_processes=1, render_timeout=10)


def test_the_event_loop_continues_while_a_template_is_rendered() -> None:
    async def test(pool: Pool) -> None:
        endless = asyncio.ensure_future(fault_of(text_of(pool, ENDLESS)))
        turns = 0
        while not endless.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 20

    run(test, render_cpu=0.5)


def test_one_client_leaves_a_child_process_to_others() -> None:
    async def test(pool: Pool) -> None:
        greedy = [asyncio.ensure_future(fault_of(text_of(pool, ENDLESS))) for _ in range(4)]
        assert await text_of(pool, "Hello", client=2) == "Hello"
        assert not any(task.done() for task in greedy)
        for task in greedy:
            task.cancel()

    run(test, render_cpu=20, render_processes=2)


def test_clients_that_wait_for_a_child_process_take_turns() -> None:
    async def test(pool: Pool) -> None:
        order: list[int] = []

        async def ask(client: int) -> None:
            await text_of(pool, "Hello", client=client)
            order.append(client)

        await asyncio.gather(*(ask(1) for _ in range(20)), ask(2))
        assert order.index(2) < 5

    run(test, render_processes=1)


def test_renderings_beyond_the_number_that_may_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.rendering.pool.WAITING", 8)

    async def test(pool: Pool) -> None:
        waiting = [asyncio.ensure_future(text_of(pool, "Hello")) for _ in range(7)]
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await text_of(pool, "Hello")
        assert await asyncio.gather(*waiting) == ["Hello"] * 7

    run(test, render_processes=1)


def test_cancelled_renderings_leave_the_pool_usable() -> None:
    async def test(pool: Pool) -> None:
        for _ in range(5):
            tasks = [asyncio.ensure_future(text_of(pool, ENDLESS)) for _ in range(3)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await text_of(pool, "Hello {{ name }}", name="Ann") == "Hello Ann"

    run(test, render_cpu=20)


def test_a_child_has_no_secret_and_can_open_no_file_or_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")

    async def test(pool: Pool) -> None:
        before = children()
        await text_of(pool, "a")
        [child] = children() - before
        assert b"hunter2" not in Path(f"/proc/{child}/environ").read_bytes()
        limits = Path(f"/proc/{child}/limits").read_text()
        assert "Max open files            0                    0 " in limits
        assert "Max address space         268435456" in limits
        assert "Max core file size        0 " in limits

    run(test)


def test_children_end_with_their_pool() -> None:
    before = children()

    async def test(pool: Pool) -> None:
        await text_of(pool, "a")
        assert children() - before

    run(test)
    assert not children() - before
