import os
import stat
from pathlib import Path

import pytest

from jupyter_dist.errors import ClusterStartError, UsageError
from jupyter_dist.launch import host
from jupyter_dist.launch.host import count_cores, make_folder, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (None, 0),
        (0, 0),
        (1000, 1000),
        ("1000", 1000),
        ("2GB", 2_000_000_000),
        ("2 gb", 2_000_000_000),
        ("1.5k", 1500),
        ("512MiB", 512 * 1024**2),
        ("1TiB", 1024**4),
        ("7B", 7),
    ],
)
def test_parse_bytes(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "two", "-1", "2PB", "1e9", "GB"])
def test_parse_bytes_that_mean_none_says_what_would(text):
    with pytest.raises(UsageError, match="write 2GB"):
        parse_bytes(text)


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8)])
def test_count_cores_keeps_to_the_quota(monkeypatch, tmp_path, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(host, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    assert count_cores() == cores


def test_make_folder_is_below_the_runtime_folder_and_closed_to_others(runtime):
    folder = make_folder()
    assert folder.parent == runtime
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_make_folder_when_the_path_is_too_long_for_sockets_is_in_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / ("x" * 100)))
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("y" * 100)))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = make_folder()
    try:
        assert len(str(folder)) < 60
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        folder.rmdir()


def test_make_folder_without_any_short_path_says_what_to_set(monkeypatch, tmp_path):
    long = tmp_path / ("x" * 100)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", str(long))
    monkeypatch.setattr(host, "SHORT_TEMP", str(long))
    with pytest.raises(ClusterStartError, match="set JUPYTER_RUNTIME_DIR"):
        make_folder()


def test_make_folder_that_cannot_be_made_is_an_error_of_ours(runtime, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", _no_space)
        with pytest.raises(ClusterStartError, match="No space left"):
            make_folder()


def _no_space(_path, **_options):
    raise OSError(28, "No space left on device")
