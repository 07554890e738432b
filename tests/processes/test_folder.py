import os
import stat

from jupyter_dist.processes.folder import HostFolder, open_log, read_tail, trim_log


def test_make_then_remove_leaves_nothing(tmp_path):
    folder = HostFolder(str(tmp_path / "jd-1"))
    folder.make()
    folder.make()
    assert {path.name for path in folder.root.iterdir()} == {"logs", "scratch", "pages"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder.root, *folder.root.iterdir())} == {0o700}
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_tail_is_the_last_lines_and_empty_without_a_file(tmp_path):
    path = tmp_path / "log"
    assert read_tail(path, 3) == ""
    path.write_text("a\nb\nc\nd\n")
    assert read_tail(path, 2) == "c\nd"
    assert read_tail(path, 0) == ""
    assert read_tail(path, 9, bytes_max=4) == "c\nd"


def test_trim_cuts_a_log_to_its_tail_while_it_is_written(tmp_path):
    path = tmp_path / "log"
    log = open_log(path)
    try:
        os.write(log, b"".join(b"line %d\n" % number for number in range(1000)))
        trim_log(path, 100_000)
        assert path.read_text().startswith("line 0\n")
        trim_log(path, 1000)
        os.write(log, b"more\n")
        lines = path.read_text().splitlines()
        assert lines[0] == "[earlier output was removed: the limit is 1000 bytes]"
        assert lines[-2:] == ["line 999", "more"]
        assert path.stat().st_size < 400
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.close(log)


def test_trim_without_a_file_does_nothing(tmp_path):
    trim_log(tmp_path / "log", 10)
    assert list(tmp_path.iterdir()) == []
