import subprocess
import sys
import threading
import time

from jupyter_dist.storage.name_lock import locked_name

HOLD = """
import sys, time
from pathlib import Path
from jupyter_dist.storage.name_lock import locked_name
with locked_name(Path(sys.argv[1]), wait_s=5) as is_ours:
    print(is_ours, flush=True)
    time.sleep(60)
"""


def test_lock_is_had_by_one_and_leaves_no_file(tmp_path):
    path = tmp_path / "a.lock"
    with locked_name(path, wait_s=0) as first, locked_name(path, wait_s=0) as second:
        assert (first, second) == (True, False)
    assert not path.exists()
    with locked_name(path, wait_s=0) as again:
        assert again


def test_lock_of_a_process_that_was_killed_is_free(tmp_path):
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"True\n"
        with locked_name(path, wait_s=0) as is_ours:
            assert not is_ours
        process.kill()
        process.wait()
    with locked_name(path, wait_s=0) as is_ours:
        assert is_ours


def test_lock_wanted_by_many_is_held_by_one_at_a_time(tmp_path):
    path = tmp_path / "a.lock"
    holders, most = [], []

    def hold():
        with locked_name(path, wait_s=30) as is_ours:
            assert is_ours
            holders.append(1)
            most.append(len(holders))
            time.sleep(0.001)  # the others get their chance to be wrong
            holders.pop()

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
