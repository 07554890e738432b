"""The runner behind `make test`: it goes on after a failure, ends what hangs, and tells the truth at the end."""

import os
import signal
import subprocess
import sys
import threading
import time
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


MEETING = (  # two programs that say a line, wait for each other, and say another
    "import pathlib, sys, time\n"
    "mine, other = map(pathlib.Path, sys.argv[1:])\n"
    "print(mine, 'first', flush=True)\n"
    "mine.touch()\n"
    "while not other.exists():\n"
    "    time.sleep(0.01)\n"
    "print(mine, 'second', flush=True)\n"
)


def test_lanes_run_beside_each_other_and_what_each_step_says_stays_together(
    steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.run_beside(
        lambda: steps.run("one", [*program(MEETING), "a", "b"], loud=True),
        lambda: steps.run("two", [*program(MEETING), "b", "a"], loud=True),
    )
    assert steps.finish() == 0
    told = capsys.readouterr().out
    assert "---- one\na first\na second\nok   one (" in told
    assert "---- two\nb first\nb second\nok   two (" in told


@pytest.mark.parametrize("failing", [0, 1])
def test_step_that_fails_in_a_lane_fails_all_and_stops_none(
    steps: Steps, capsys: pytest.CaptureFixture[str], failing: int
) -> None:
    def lane(number: int) -> None:
        steps.run(f"early {number}", program(f"print('why'); raise SystemExit({number == failing:d})"), loud=True)
        steps.run(f"late {number}", program(""))

    steps.run_beside(lambda: lane(0), lambda: lane(1))
    assert steps.finish() == 1
    told = capsys.readouterr().out
    assert f"---- early {failing}\nwhy\nFAIL early {failing}" in told
    assert "ok   late 0" in told
    assert "ok   late 1" in told
    assert f"make test: FAILED (early {failing}) in " in told


LASTING = "import pathlib, time\nprint('{name} so far', flush=True)\npathlib.Path('{name}').touch()\ntime.sleep(600)\n"


def test_interrupt_while_lanes_run_ends_both_shows_what_they_said_and_begins_nothing(
    steps: Steps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lane(name: str) -> None:
        steps.run(name, program(LASTING.format(name=name)), loud=True)
        steps.run(f"after {name}", program(f"import pathlib; pathlib.Path('after-{name}').touch()"))

    def interrupt() -> None:
        while not all((tmp_path / name).exists() for name in ("one", "two")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    person = threading.Thread(target=interrupt)
    person.start()
    with pytest.raises(KeyboardInterrupt):
        steps.run_beside(lambda: lane("one"), lambda: lane("two"))
    person.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    told = capsys.readouterr().out
    for name in ("one", "two"):
        assert f"---- {name}\n{name} so far\nstop {name} (" in told
        assert f"after {name}" not in told
