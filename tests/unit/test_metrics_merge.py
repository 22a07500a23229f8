"""Files of dead processes: merged exactly once, however damaged they are and wherever the merging process dies."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from runtime.metrics import merge, multiprocess
from runtime.metrics.directory import locked, try_lock
from runtime.metrics.exposition import Collected, page
from tests.scrapes import Scrape

DEAD = itertools.count(4_194_305)  # above the greatest pid that Linux gives
ALIVE = 1  # there is always a process with this pid
HELP = "Counted."


def write(path: Path, *values: float, help: str = HELP) -> Path:
    """A file of counters a, b, c and so on."""
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for name, value in zip("abcdefghijkl", values, strict=False):
        key = mmap_key(f"notify_{name}", f"notify_{name}_total", ["lane"], ["high"], help)
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]
    return path


def written(directory: Path, *values: float, process: int | None = None) -> Path:
    """Write the counters of a process: one that has ended, unless another is named."""
    return write(directory / f"counter_{next(DEAD) if process is None else process}.db", *values)


def gauge(directory: Path, process: int, mode: str = "livesum") -> Path:
    path = directory / f"gauge_{mode}_{process}.db"
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    file.write_value(mmap_key("notify_g", "notify_g", [], [], "A gauge."), 1.0, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]
    return path


def seen(directory: Path) -> Scrape:
    """Return the result of a scrape after a merge."""
    merge.merge_dead(directory)
    registry = CollectorRegistry()
    registry.register(Collected(merge.collect(directory)))
    return Scrape(generate_latest(registry).decode())


def sums(directory: Path) -> list[float]:
    scrape = seen(directory)
    return [scrape.sum(f"notify_{name}_total") for name in "ab"]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*"))


def test_hundreds_of_restarts_leave_one_file_that_does_not_grow(tmp_path: Path) -> None:
    written(tmp_path, 1, 2)
    merge.merge_dead(tmp_path)
    names_first, size = names(tmp_path), (tmp_path / "counter_0.db").stat().st_size
    for _ in range(300):
        process = next(DEAD)
        written(tmp_path, 1, 2, process=process)
        gauge(tmp_path, process)
        (tmp_path / multiprocess.MARK.format(process)).touch()
        merge.merge_dead(tmp_path)

    assert names(tmp_path) == names_first == ["counter_0.db", "merging"]
    assert (tmp_path / "counter_0.db").stat().st_size == size
    assert sums(tmp_path) == [301, 602]


def test_hundreds_of_files_that_an_outage_has_left_are_merged_together(tmp_path: Path) -> None:
    for _ in range(200):
        written(tmp_path, 1, 2)

    assert sums(tmp_path) == [200, 400]
    assert names(tmp_path) == ["counter_0.db", "merging"]


def test_a_series_that_is_zero_is_kept(tmp_path: Path) -> None:
    written(tmp_path, 0, 1)

    assert "notify_a_total" in seen(tmp_path).labels()
    assert "notify_a_total" in seen(tmp_path).labels()


class Killed(BaseException):
    """Exception in the place of SIGKILL."""


STEPS = ("mkdir", "rename", "unlink", "write_bytes")


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Die at the step of this number that changes the directory: before it, or right after it."""

    def at(number: int, after: bool) -> None:
        steps = itertools.count()

        def counted(original: Callable[..., Any]) -> Callable[..., Any]:
            def step(*given: Any, **options: Any) -> Any:
                if next(steps) != number:
                    return original(*given, **options)
                if after:
                    original(*given, **options)
                raise Killed

            return step

        for name in STEPS:
            monkeypatch.setattr(Path, name, counted(getattr(Path, name)))

    return at


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(20))
def test_a_process_killed_while_merging_loses_and_doubles_no_count(
    tmp_path: Path, killed_at: Callable[[int, bool], None], monkeypatch: pytest.MonkeyPatch, number: int, after: bool
) -> None:
    written(tmp_path, 1, 2)
    merge.merge_dead(tmp_path)
    for _ in range(2):
        process = next(DEAD)
        written(tmp_path, 10, 20, process=process).rename(tmp_path / f"histogram_{process}.db")
        written(tmp_path, 10, 20, process=process)
    killed_at(number, after)
    try:
        merge.merge_dead(tmp_path)
    except Killed:
        died = True
    else:
        died = False
    monkeypatch.undo()
    written(tmp_path, 100, 200)  # Another one dies before the next process looks.

    assert sums(tmp_path) == sums(tmp_path) == [121 + 20, 242 + 40]
    assert names(tmp_path) == ["counter_0.db", "histogram_0.db", "merging"]
    assert died == (number < 17), "the number of steps has changed: let the range have all of them"


def test_two_unmerged_files_of_one_pid_are_both_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    process = next(DEAD)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        for _ in range(2):
            written(tmp_path, 1, 2, process=process)
            merge.merge_dead(tmp_path)
        assert sums(tmp_path) == [2, 4]

    assert sums(tmp_path) == [2, 4]
    assert names(tmp_path) == ["counter_0.db", "merging"]


def test_a_pid_that_another_program_has_now_is_not_taken_for_its_process(tmp_path: Path) -> None:
    mark = tmp_path / multiprocess.MARK.format(ALIVE)
    mark.touch()
    written(tmp_path, 1, 2, process=ALIVE)
    gauge(tmp_path, ALIVE)

    assert seen(tmp_path).sum("notify_g") == 0
    assert sums(tmp_path) == [1, 2]
    assert names(tmp_path) == ["counter_0.db", "merging"]


def test_files_of_a_live_process_are_kept(tmp_path: Path) -> None:
    mark = os.open(tmp_path / multiprocess.MARK.format(ALIVE), os.O_RDONLY | os.O_CREAT)
    assert try_lock(mark)
    written(tmp_path, 1, 2, process=ALIVE)
    gauge(tmp_path, ALIVE)

    assert seen(tmp_path).sum("notify_g") == 1
    assert (tmp_path / f"counter_{ALIVE}.db").exists()
    os.close(mark)
    assert seen(tmp_path).sum("notify_g") == 0
    assert sums(tmp_path) == [1, 2]


def test_counters_of_a_previous_version_continue_and_its_live_processes_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "counter_0.db", 100, 200, help="An older text.")
    written(tmp_path, 10, 20)
    process = next(DEAD)
    for mode in ("livesum", "all", "max"):
        gauge(tmp_path, process, mode)
    written(tmp_path, 1, 2, process=ALIVE)
    gauge(tmp_path, ALIVE)
    for name in ("lock", "exporter-9191", "histogram_0.new"):
        (tmp_path / name).touch()

    assert sums(tmp_path) == [111, 222]
    assert seen(tmp_path).sum("notify_g") == 1
    assert {"counter_1.db", "gauge_livesum_1.db"} <= set(names(tmp_path))
    assert not [name for name in names(tmp_path) if str(process) in name]


@pytest.mark.parametrize(
    "name", ["notes.db", "counter_x.db", "gauge_5.db", "summary_5.db", "counter_-1.db", "counter.db", "_.db"]
)
def test_foreign_files_in_the_directory_are_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"something else")
    written(tmp_path, 1, 2)

    assert sums(tmp_path) == [1, 2]
    assert (tmp_path / name).read_bytes() == b"something else"


def damaged(whole: bytes) -> Iterator[tuple[str, bytes]]:
    used = int.from_bytes(whole[:4], "little")
    for length in (0, 1, 3, 4, 7, 8, 11, 12, 40, used // 2, used - 17, used - 16, used - 8, used - 1):
        yield f"cut at {length}", whole[:length]
        yield f"zeros from {length}", whole[:length] + bytes(len(whole) - length)
    for header in (b"\xff\xff\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x09\x00\x00\x00"):
        yield f"header {header.hex()}", header + whole[4:]
    for length in (0, 1, -20, -28, 2**31 - 1):
        yield f"first key of length {length}", whole[:8] + length.to_bytes(4, "little", signed=True) + whole[12:]
    yield "no UTF-8", whole.replace(b"notify_a", b"\xff\xfeotify_")
    yield "no JSON", whole.replace(b'["notify_a', b'("notify_a')
    yield "no list", whole.replace(b'["notify_a"', b'{"notify_a"')
    yield "text", b"something else entirely\n" * 9


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("whole"), 5, 7, 9).read_bytes()


@pytest.mark.parametrize("process", ["dead", "alive", "nobody"])
def test_a_damaged_file_stops_no_scrape_and_the_other_files_count(tmp_path: Path, whole: bytes, process: str) -> None:
    for what, content in damaged(whole):
        directory = tmp_path / what
        directory.mkdir()
        number = {"dead": next(DEAD), "alive": ALIVE, "nobody": merge.NOBODY}[process]
        (directory / f"counter_{number}.db").write_bytes(content)
        written(directory, 1, 2)
        first, second = sums(directory), sums(directory)

        assert first == second, what
        assert first[0] in (1, 6), what
        assert first[1] in (2, 9), what


def test_a_truncated_file_counts_up_to_where_it_was_cut_off(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / f"counter_{next(DEAD)}.db").write_bytes(whole[: int.from_bytes(whole[:4], "little") - 8])

    assert sums(tmp_path) == [5, 7]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_an_impossible_counter_value_is_not_added(tmp_path: Path, value: float) -> None:
    written(tmp_path, 1, 2)
    merge.merge_dead(tmp_path)
    written(tmp_path, value, 5)

    assert sums(tmp_path)[0] == 1


def test_a_file_that_may_not_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, 1, 2)
    closed = written(tmp_path, 1, 2, process=ALIVE)
    read = MmapedDict.read_all_values_from_file

    def refused(path: str) -> Any:
        if path == str(closed):
            raise PermissionError(13, "Permission denied", path)
        return read(path)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(MmapedDict, "read_all_values_from_file", refused)

    assert sums(tmp_path) == [1, 2]


def test_a_scrape_without_the_lock_reads_without_merging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocess._Shared, "directory", tmp_path)
    monkeypatch.setattr(multiprocess, "WITHIN", 0.01)
    file = written(tmp_path, 1, 2)
    with locked(tmp_path):
        told = Scrape(page(False, False).body.decode())

    assert told.sum("notify_a_total") == 1
    assert file.exists()


def test_the_keys_of_series_match_the_library(tmp_path: Path) -> None:
    """Merged values of dead processes are found under the same key that a live process uses."""
    path = written(tmp_path, 1)
    before = [key for key, _ in merge._entries(path)]
    merge.merge_dead(tmp_path)

    assert [key for key, _ in merge._entries(tmp_path / "counter_0.db")] == before
    assert json.loads(before[0]) == ["notify_a", "notify_a_total", {"lane": "high"}, HELP]
