"""The data directory of `notify up`: its lock, and the directory of its sockets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cli.servers import StartError
from cli.up import data
from cli.up.data import DataRoot


def test_the_data_directory_is_data_dir_or_dot_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert data.root({}).path == tmp_path / ".data"
    assert data.root({"DATA_DIR": ""}).path == tmp_path / ".data"
    assert data.root({"DATA_DIR": "mine"}).path == tmp_path / "mine"


def test_a_data_directory_in_use_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    root = DataRoot(tmp_path / "data")

    with data.claimed(root), pytest.raises(StartError, match=rf"\(process {os.getpid()}\) runs on"):
        _claim(root)

    _claim(root)


def test_a_data_directory_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StartError, match="set DATA_DIR to a directory that you may write to"):
        _claim(DataRoot(tmp_path / "file" / "data"))


def test_sockets_are_in_a_private_directory_with_a_short_path(tmp_path: Path) -> None:
    deep = DataRoot(tmp_path / ("deep" * 40))

    with data.runtime(deep) as place, data.runtime(deep) as again:
        assert place == again
        assert len(os.fsencode(place)) < 90
        assert stat.S_IMODE(place.stat().st_mode) & 0o066 == 0
    assert not place.exists()


def test_another_process_finds_the_directory_of_the_sockets(tmp_path: Path) -> None:
    root = DataRoot(tmp_path / "data")

    assert data.runtime_of_another(root) is None
    with data.runtime(root) as place:
        assert data.runtime_of_another(root) == place
        place.chmod(0o777)
        assert data.runtime_of_another(root) is None
    assert data.runtime_of_another(root) is None


def test_another_process_finds_the_sockets_with_another_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = DataRoot(tmp_path / "data")
    with data.runtime(root) as place:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        assert data.runtime_of_another(root) == place


@pytest.mark.parametrize("content", [b"", b"relative", b"/nowhere/at/all", b"/tmp", b"\xff\x00"])
def test_a_data_directory_that_names_a_foreign_socket_directory_is_not_trusted(tmp_path: Path, content: bytes) -> None:
    root = DataRoot(tmp_path)
    root.runtime.write_bytes(content)
    assert data.runtime_of_another(root) is None


@pytest.mark.parametrize("foreign", ["link", "open"])
def test_a_socket_directory_that_others_can_change_is_not_used(
    tmp_path: Path, foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path) if len(str(tmp_path)) < data.LONGEST else None)
    root = DataRoot(tmp_path / f"data-{foreign}")
    with data.runtime(root) as place:
        pass
    if foreign == "link":
        place.symlink_to(tmp_path, target_is_directory=True)
    else:
        place.mkdir()
        place.chmod(0o777)

    try:
        with pytest.raises(StartError, match="belongs to another user"), data.runtime(root):
            pass
    finally:
        place.unlink() if place.is_symlink() else place.rmdir()


def _claim(root: DataRoot) -> None:
    with data.claimed(root):
        pass
