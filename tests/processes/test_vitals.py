import os
import signal
import subprocess
import sys
import time

import pytest

from jupyter_dist.processes.vitals import Vitals, private_bytes, read_oom_kills, read_stat, session_members, started_s
from tests.processes.nanny_host import eventually


@pytest.fixture
def sleeper():
    command = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_stat_tells_sleeping_stopped_and_gone(sleeper):
    eventually(lambda: read_stat(sleeper.pid).state == "sleeping")
    os.kill(sleeper.pid, signal.SIGSTOP)
    eventually(lambda: read_stat(sleeper.pid).state == "stopped")
    sleeper.kill()
    eventually(lambda: read_stat(sleeper.pid).state == "gone")  # a zombie
    sleeper.wait()
    assert read_stat(sleeper.pid).state == "gone"
    assert started_s(sleeper.pid) == 0


def test_started_names_a_process_once_and_for_all(sleeper):
    assert started_s(sleeper.pid) == started_s(sleeper.pid) > 0
    assert started_s(os.getpid()) < started_s(sleeper.pid)


def test_session_has_its_members(sleeper):
    assert session_members(sleeper.pid) == [sleeper.pid]
    assert os.getpid() in session_members(os.getsid(0))


def test_sample_measures_work_and_remembers_the_peak():
    vitals = Vitals(os.getpid(), time.monotonic())
    vitals.sample(time.monotonic())
    data = bytearray(b"x" * 50_000_000)
    began_s = time.process_time()
    while time.process_time() - began_s < 0.1:
        sum(range(1000))
    sample = vitals.sample(time.monotonic())
    assert sample.state == "running"
    assert sample.cpu_percent > 0
    peak = vitals.memory_bytes_peak
    assert peak >= sample.memory_bytes > len(data)
    del data
    assert vitals.sample(time.monotonic()).memory_bytes < peak <= vitals.memory_bytes_peak


def test_sample_of_a_process_that_is_gone_is_a_value(sleeper):
    vitals = Vitals(sleeper.pid, 0.0)
    assert vitals.sample(1.0).memory_bytes > 0
    sleeper.kill()
    sleeper.wait()
    assert vitals.sample(2.0) == ("gone", 0, 0.0)
    assert vitals.memory_bytes_peak > 0


def test_oom_kills_never_fall():
    assert 0 <= read_oom_kills() <= read_oom_kills()


MAPS_A_FILE = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print(sum(memory[::4096]), flush=True)
input()
"""


def test_private_bytes_leave_out_what_is_mapped_with_others(tmp_path):
    size = 100 * 1024 * 1024
    (tmp_path / "file").write_bytes(b"x" * size)
    command = [sys.executable, "-c", MAPS_A_FILE, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        process.stdout.readline()
        assert read_stat(process.pid).memory_bytes > size
        assert 0 < private_bytes(process.pid) < size // 2
        process.kill()
    assert private_bytes(process.pid) == 0
