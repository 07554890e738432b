"""The command, called as a function: what it prints, where, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_dist
from jupyter_dist import cli
from jupyter_dist.errors import ClusterError
from jupyter_dist.launch.connection_file import write_info
from jupyter_dist.messages import ClusterSnapshot, WorkerView
from tests.launch.runtime import own_runtime
from tests.launch.test_connection_file import SECRET, make_info

ROOT = str(Path(jupyter_dist.__file__).parent.parent)


@pytest.fixture
def runtime(monkeypatch):
    with own_runtime(monkeypatch) as folder:
        yield folder


@pytest.fixture
def asked(monkeypatch):
    """Clusters that answer without a process; the list holds what they were asked."""
    calls: list[tuple] = []

    class FakeObserver:
        def __init__(self, info):
            self.info = info

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_error):
            return None

        async def describe(self):
            return make_snapshot()

        async def scale(self, workers):
            if workers > 100:
                raise ClusterError("the scheduler keeps at most 100 workers")
            calls.append(("scale", workers))

        async def restart(self):
            calls.append(("restart",))

    monkeypatch.setattr(cli, "Observer", FakeObserver)
    return calls


def make_snapshot():
    worker = WorkerView(
        name="worker-0",
        host="here",
        pid=4211,
        nanny="nanny-here",
        address="unix:/nowhere",
        state="running",
        slots=2,
        running=1,
        queued=3,
        memory_bytes=52_000_000,
        memory_bytes_max=0,
        cpu_percent=99.6,
        held=0,
        held_bytes=0,
        spilled_bytes=0,
        heard_s=0.1,
        restarts=1,
        last_death="worker-0 (pid 4000) was killed by SIGSEGV",
    )
    return ClusterSnapshot(
        cluster="try",
        at_s=1.0,
        started_s=0.0,
        last_event=0,
        wanted=2,
        workers=(worker,),
        counts={"waiting": 0, "queued": 3, "processing": 1, "memory": 0, "erred": 0},
        finished=7,
        erred=0,
        sessions=("script",),
        functions=(),
        running=(),
        errors=(),
        nannies={"worker-0": "nanny-here"},
    )


def test_list_without_a_cluster_says_how_to_start_one(runtime, capsys):
    assert cli.main(["list"]) == 0
    assert "jupyter dist start" in capsys.readouterr().out
    assert cli.main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_list_is_aligned_and_for_programs_json_without_the_secret(runtime, capsys):
    write_info(make_info("one"))
    write_info(make_info("another-one"))
    assert cli.main(["list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["another-one", "one"]
    assert {row.index(" here ") + 1 for row in rows} == {head.index("HOST")}
    assert cli.main(["list", "--json"]) == 0
    out = capsys.readouterr().out
    assert [cluster["name"] for cluster in json.loads(out)] == ["another-one", "one"]
    assert "secret" not in out
    assert SECRET.decode() not in out


def test_status_shows_workers_and_tasks(runtime, asked, capsys):
    write_info(make_info("try"))
    assert cli.main(["status", "try"]) == 0
    out = capsys.readouterr().out
    assert "1 of 2" in out
    assert "3 queued, 1 processing; 7 finished and 0 erred so far" in out
    assert out.splitlines()[-1].split() == ["worker-0", "running", "4211", "1/2", "3", "52", "MB", "100", "%", "1"]


def test_status_for_programs_is_json(runtime, asked, capsys):
    write_info(make_info("try"))
    assert cli.main(["status", "try", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["cluster"]["name"] == "try"
    assert status["snapshot"]["workers"][0]["last_death"].endswith("SIGSEGV")
    assert status["snapshot"]["tasks"]["queued"] == 3
    assert "secret" not in str(status)


def test_scale_and_restart_ask_the_cluster(runtime, asked, capsys):
    write_info(make_info("default"))
    assert cli.main(["scale", "default", "1"]) == 0
    assert cli.main(["restart"]) == 0
    assert asked == [("scale", 1), ("restart",)]
    assert "will have 1 worker.\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "nope"], "there is no cluster 'nope'"),
        (["stop", "a/b"], "'a/b' cannot name a cluster"),
        (["start", "--memory-limit", "much"], "'much' is no amount of memory"),
        (["start", "-n", "-2"], "-2 workers"),
        (["start", "--resources", "GPU"], "write NAME=AMOUNT"),
        (["start", "--resources", "GPU=-1"], "give more than 0"),
        (["scale", "try", "1000"], "at most 100 workers"),
    ],
)
def test_error_is_one_sentence_and_exit_code_1(runtime, asked, capsys, arguments, words):
    write_info(make_info("try"))
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jupyter dist: ")
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_interrupt_is_no_traceback(runtime, monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "read_clusters", interrupt)
    assert cli.main(["list"]) == 1
    assert capsys.readouterr().err == "jupyter dist: interrupted\n"


def test_without_a_command_says_which_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (59.9, "59 s"), (61, "1 min"), (3600, "1 h 0 min"), (90_000, "25 h 0 min")]
)
def test_duration_is_for_a_person(seconds, words):
    assert cli._duration(seconds) == words


def test_reader_that_goes_is_no_error(runtime):
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_dist", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    process.stdout.close()
    _out, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.process
def test_story_of_a_cluster_from_start_to_stop(runtime, capsys):
    assert cli.main(["start", "-n", "1", "--name", "try", "--threads", "2", "--resources", "GPU=2"]) == 0
    captured = capsys.readouterr()
    assert "'try' is up: 1 worker of 2 threads" in captured.out
    assert "scheduler up" in captured.err
    assert cli.main(["start", "--name", "try"]) == 1
    assert "runs already" in capsys.readouterr().err
    assert cli.main(["scale", "try", "2"]) == 0
    assert cli.main(["restart", "try"]) == 0
    assert cli.main(["status", "try", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["snapshot"]["wanted"] == 2
    assert cli.main(["logs", "try", "-n", "3"]) == 0
    assert "==> nanny <==" in capsys.readouterr().out
    assert cli.main(["stop", "try"]) == 0
    assert list(runtime.iterdir()) == []
    assert cli.main(["stop", "try"]) == 1
