"""The connection file, as a nanny writes it anew. No process is started."""

import errno
import os
import stat

import msgspec
import pytest

from jupyter_dist.processes import listing
from jupyter_dist.processes.listing import Listing
from jupyter_dist.processes.vitals import started_s
from jupyter_dist.storage.name_lock import locked_name


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "try.json"
    path.write_bytes(msgspec.json.encode({"cluster": "0123", "secret": "s", "pid": 1, "unknown": {"later": 1}}))
    return path


def test_renewal_names_the_processes_and_keeps_the_rest(path):
    assert Listing(str(path), "0123").renew(os.getpid(), 0) is True
    record = msgspec.json.decode(path.read_bytes())
    assert record == {
        "cluster": "0123",
        "secret": "s",
        "pid": os.getpid(),
        "process_started_s": started_s(os.getpid()),
        "guardian_pid": 0,
        "guardian_started_s": 0.0,
        "unknown": {"later": 1},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_renewal_while_somebody_holds_the_name_is_for_later(path):
    before = path.read_bytes()
    with locked_name(path.with_suffix(".lock"), wait_s=0) as is_ours:
        assert is_ours
        assert Listing(str(path), "0123").renew(1, 2) is False
    assert path.read_bytes() == before


def test_renewal_on_a_full_disk_is_for_later(path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.ENOSPC, "no space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(listing, "write_private", refuse)
    assert listing.Listing(str(path), "0123").renew(1, 2) is False
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [None, b'{"cluster": "another"}', b"[]", b"{"])
def test_file_that_is_gone_or_not_this_clusters_is_left_alone(path, data):
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    known = Listing(str(path), "0123")
    assert known.renew(1, 2) is None
    known.remove()
    assert path.exists() == (data is not None)


def test_removal_of_a_file_that_is_this_clusters_removes_it(path):
    path.with_suffix(".lock").touch()  # its holder was killed
    Listing(str(path), "0123").remove()
    assert list(path.parent.iterdir()) == []
