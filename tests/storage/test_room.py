from jupyter_dist.storage import room

GIB = 1 << 30


def make_host(tmp_path, available_kib, limit="max", current=0, inactive=0):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 99999 kB\nMemAvailable: {available_kib} kB\n")
    cgroup = tmp_path / "cgroup"
    cgroup.mkdir()
    (cgroup / "memory.max").write_text(f"{limit}\n")
    (cgroup / "memory.current").write_text(f"{current}\n")
    (cgroup / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\n")
    return meminfo, cgroup


def test_free_memory_is_what_the_host_has_available(tmp_path):
    assert room.free_memory_bytes(*make_host(tmp_path, 2048)) == 2048 * 1024


def test_free_memory_in_a_container_is_what_its_limit_leaves(tmp_path):
    host = make_host(tmp_path, 100 * 1024 * 1024, limit=4 * GIB, current=3 * GIB, inactive=GIB // 2)
    assert room.free_memory_bytes(*host) == GIB + GIB // 2


def test_free_memory_of_a_full_container_is_none(tmp_path):
    assert room.free_memory_bytes(*make_host(tmp_path, 1024, limit=GIB, current=2 * GIB)) == 0


def test_free_memory_that_nobody_tells_is_no_limit(tmp_path):
    assert room.free_memory_bytes(tmp_path / "no", tmp_path / "no") > 1 << 50


def test_free_bytes_in_memory_leaves_some_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MEMORY_ROOT", tmp_path)
    monkeypatch.setattr(room, "free_memory_bytes", lambda: room.MEMORY_KEPT_BYTES + 5)
    assert room.free_bytes(tmp_path) == 5
    monkeypatch.setattr(room, "free_memory_bytes", lambda: 1)
    assert room.free_bytes(tmp_path) == 0


def test_free_bytes_on_a_disk_is_not_bounded_by_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_memory_bytes", lambda: 0)
    assert room.free_bytes(tmp_path) > 0
