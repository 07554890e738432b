"""Code that cannot be interrupted: stopped by force, or out of its time, it loses its process, and nobody else anything."""

import time
from pathlib import Path

import pytest

from jupyter_dist.errors import TaskTimeoutError, WorkerCrashedError
from jupyter_dist.messages import DeathCertificate
from tests.integration.conftest import wait_until

TIMEOUT_S = 3.0  # from the beginning of the import of this module in the worker


def inc(number: int) -> int:
    return number + 1


def hold_interpreter(mark: str) -> int:
    """Compute in C, with the interpreter's lock held: neither a signal nor the worker's own loop gets a turn."""
    print("about to hold it", flush=True)
    Path(mark).touch()
    return sum(range(10**13))


def wait_for_file(mark: str) -> str:
    while not Path(mark).exists():
        time.sleep(0.01)
    return mark


def test_cancel_by_force_of_code_in_c_replaces_its_process_and_harms_no_other(own_executor, tmp_path):
    inside, go = tmp_path / "inside", tmp_path / "go"
    other = own_executor.submit(wait_for_file, str(go))
    stuck = own_executor.submit(hold_interpreter, str(inside))
    wait_until(inside.exists, "it runs", 30)
    before = {worker.pid for worker in own_executor.snapshot().workers}
    began_s = time.monotonic()
    stuck.cancel(force=True)
    wait_until(lambda: {worker.pid for worker in own_executor.snapshot().workers} - before, "it is replaced", 30)
    assert time.monotonic() - began_s > own_executor.settings.stop_grace_s
    assert not other.done()
    go.touch()
    assert other.result(20) == str(go)
    assert own_executor.gather(own_executor.map(inc, range(20))) == list(range(1, 21))


def test_timeout_of_code_in_c_ends_its_process_and_errs_with_where_it_was(own_executor, tmp_path):
    assert own_executor.submit(inc, 0).result(30) == 1
    stuck = own_executor.submit(hold_interpreter, str(tmp_path / "inside"), timeout=TIMEOUT_S)
    others = own_executor.map(inc, range(100))
    with pytest.raises(WorkerCrashedError, match="longer than its timeout of 3 s and could not") as caught:
        stuck.result(60)
    assert isinstance(caught.value, TaskTimeoutError)
    (certificate,) = caught.value.certificates
    assert isinstance(certificate, DeathCertificate)
    assert "hold_interpreter" in certificate.stack
    assert "about to hold it" in certificate.output
    assert certificate.memory_bytes_peak > 0
    assert own_executor.gather(others) == list(range(1, 101))
    with pytest.raises(WorkerCrashedError):
        own_executor.submit(inc, stuck).result(10)
