"""The runner behind `make test`: it goes on after a failure, ends what hangs, and tells the truth at the end."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.steps import Steps, wait_or_stop

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps("make test", tmp_path, {})


def program(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def test_all_steps_well_is_green(steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    assert steps.run("one", program("print('hidden')"))
    assert steps.finish() == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("ok   one (")
    assert told[-1].startswith("make test: all green in ")
    assert "hidden" not in told


def test_failed_step_shows_its_output_and_does_not_stop_the_next(
    steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not steps.run("one", program("print('why'); raise SystemExit(3)"))
    assert steps.run("two", program(""))
    assert steps.finish() == 1
    told = capsys.readouterr().out
    assert "why\nFAIL one" in told
    assert "ok   two" in told
    assert "make test: FAILED (one) in " in told


def test_skipped_step_is_named_in_the_result(steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    steps.skip("browser tests", "no Chromium")
    assert steps.finish() == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("(skipped: browser tests: no Chromium)")


def test_step_past_its_limit_is_ended_with_its_children(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.steps.STOP_S_MAX", 0.2)
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]).wait()"
    process = subprocess.Popen(program(parent), stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as up:
        assert up.readline() == b"up\n"
        children = psutil.Process(process.pid).children()
        assert wait_or_stop(process, 0.1) != 0
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert "was stopped" in capsys.readouterr().out
