"""A real Jupyter server, a real cluster, and nothing between them but REST."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

import jupyter_dist

TOKEN = "a-token-for-tests"
OTHERS = ("jupyter_lsp", "jupyter_server_terminals", "jupyterlab", "notebook", "notebook_shim")  # these start processes
EXTENSIONS = {"jupyter_dist": True, **dict.fromkeys(OTHERS, False)}
CONFIG = {"ServerApp": {"jpserver_extensions": EXTENSIONS, "port": 0, "open_browser": False}}
LIMIT_S = 60.0
CLUSTERS, NOTEBOOKS = "clusters", "notebooks"
ASK_S = 0.03  # between two questions, to leave the cores to those who are asked
ROOT = str(Path(jupyter_dist.__file__).parents[1])  # it may not be installed

pytestmark = [pytest.mark.process, pytest.mark.slow]


class JupyterServer:
    """A Jupyter server in a process of its own."""

    def __init__(self, folder, **environ):
        (folder / "config").mkdir(exist_ok=True)
        (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
        places = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        self.lines = []
        self.url = ""
        self._is_up = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser"],
            env={**os.environ, "JUPYTER_TOKEN": TOKEN, "PYTHONPATH": ROOT, **places, **environ},
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        assert self._is_up.wait(LIMIT_S), "".join(self.lines)
        self.ask_until("", lambda _: True)  # it says where it is a moment before it listens
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT_S)
        self._reader.join()
        self.process.stderr.close()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                self.url = found[0]
                self._is_up.set()

    def ask(self, verb, path="", body=None):
        """Return the status and the JSON of an answer."""
        request = urllib.request.Request(
            f"{self.url}jupyter_dist/api/v1/{path if path.startswith(NOTEBOOKS) else CLUSTERS + path}",
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {TOKEN}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except urllib.error.URLError as error:
            return 0, str(error)

    def ask_until(self, path, is_reached):
        """Ask for a cluster until it is as wanted: over REST there is no other way to wait."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            status, model = self.ask("GET", path)
            if status == 200 and is_reached(model):
                return model
            is_final = status == 200 and model.get("state") in {"failed", "lost"}
            assert not is_final, f"{model['reason']}\n{model['log']}"
            assert time.monotonic() < deadline, f"{status} {model}\n{''.join(self.lines[-20:])}"
            time.sleep(ASK_S)


def cluster_processes(folder, name="e2e"):
    """Return the processes of a cluster, by the nanny that its connection file names."""
    nanny = psutil.Process(json.loads((folder / "runtime" / "jupyter_dist" / f"{name}.json").read_bytes())["pid"])
    return [nanny, *nanny.children(recursive=True)]


def kill(processes):
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it went with one that was killed before it
            process.kill()


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        kill(cluster_processes(tmp_path))  # only what a failed test left behind


def test_cluster_started_scaled_and_restarted_outlives_the_server_and_is_found_again(folder):
    with JupyterServer(folder) as server:
        assert server.ask("GET") == (200, {"clusters": []})
        status, model = server.ask("POST", body={"name": "e2e", "workers": 2})
        assert (status, model["state"]) == (202, "starting")
        assert server.ask("POST", body={"name": "e2e"})[0] == 409
        model = server.ask_until("/e2e", lambda model: model["state"] != "starting")
        assert model["state"] == "running", model
        model = server.ask_until("/e2e", lambda model: model["workers"] == 2)
        assert (model["wanted"], model["cores"], model["detached"]) == (2, 2, True)
        identity = model["id"]

        assert server.ask("PATCH", "/e2e", {"workers": 3})[1]["wanted"] == 3
        server.ask_until("/e2e", lambda model: model["workers"] == 3)
        status, model = server.ask("POST", "/e2e/restart")
        assert (status, model["state"], model["id"]) == (200, "running", identity)
        server.ask_until("/e2e", lambda model: model["workers"] == 3)
        status, answer = server.ask("GET", "/e2e/log")
        assert (status, set(answer)) == (200, {"log"})

    with JupyterServer(folder) as server:
        model = server.ask_until("/e2e", lambda model: model["state"] == "running" and model["workers"] == 3)
        assert model["id"] == identity
        processes = cluster_processes(folder)
        assert len(processes) >= 5  # nanny, scheduler, three workers
        assert server.ask("DELETE", "/e2e") == (204, None)
        assert server.ask("GET") == (200, {"clusters": []})
        _, alive = psutil.wait_procs(processes, timeout=30)
        assert alive == []
        assert list((folder / "runtime" / "jupyter_dist").glob("*.json")) == []


def test_cluster_that_does_not_come_up_says_why_and_leaves_nothing(folder):
    with JupyterServer(folder, JUPYTER_DIST_START_S_MAX="0.01") as server:
        assert server.ask("POST", body={"name": "e2e", "workers": 1})[0] == 202
        model = server.ask_until("/e2e", lambda model: model["state"] != "starting")
        assert (model["state"], bool(model["reason"])) == ("failed", True)
        assert server.ask("PATCH", "/e2e", {"workers": 2})[0] == 409
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert psutil.wait_procs(children, timeout=30)[1] == []
        assert server.ask("DELETE", "/e2e") == (204, None)
        assert server.ask("GET") == (200, {"clusters": []})


def test_cluster_that_is_killed_is_shown_as_lost_with_the_reason(folder):
    with JupyterServer(folder) as server:
        server.ask("POST", body={"name": "e2e", "workers": 1})
        server.ask_until("/e2e", lambda model: model["state"] == "running" and model["workers"] == 1)
        kill(cluster_processes(folder))
        model = server.ask_until("/e2e", lambda model: model["state"] == "lost")
        assert model["reason"]
        assert server.ask("DELETE", "/e2e")[0] == 204


WORK = """
import os, sys, time
import ipykernel  # so this process is a kernel to the cluster

PATH = sys.argv[1]
from jupyter_dist import Executor

def fail(text):
    print(text)
    if not os.path.exists(PATH):
        raise ValueError("no luck")
    return text

executor = Executor("e2e")
future = executor.submit(fail, "printed", key="fail-1")
future.exception(timeout=30)
print("ready", flush=True)
sys.stdin.readline()
while future.status == "error":  # two connections: the server's answer may be here first
    time.sleep(0.01)
print(future.result(timeout=30), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def notebook(folder):
    """A process that is a notebook's kernel, as far as the cluster can see."""
    places = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    script = folder / "work.py"
    script.write_text(WORK)
    started = []

    def start():
        environ = {**os.environ, "PYTHONPATH": ROOT, "JPY_SESSION_NAME": str(folder / "a.ipynb"), **places}
        command = [sys.executable, str(script), str(folder / "mended")]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=environ, cwd=folder, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.communicate("\n\n", timeout=LIMIT_S)


def test_task_that_raised_is_seen_and_tried_again_from_the_server_and_the_notebook_gets_its_value(folder, notebook):
    with JupyterServer(folder) as server:
        server.ask("POST", body={"name": "e2e", "workers": 1})
        server.ask_until("/e2e", lambda model: model["state"] == "running" and model["workers"] == 1)
        kernel = notebook()
        assert kernel.stdout.readline() == "ready\n"

        _, page = server.ask("GET", "/e2e/tasks?state=erred")
        assert [task["key"] for task in page["tasks"]] == ["fail-1"]
        _, told = server.ask("GET", "/e2e/tasks/fail-1")
        assert (told["error"]["type_name"], told["error"]["function"], told["output"]) == (
            "ValueError",
            "fail",
            "printed\n",
        )
        assert 'raise ValueError("no luck")' in told["error"]["traceback"]
        assert server.ask("GET", "/e2e/work")[1]["errors"][0]["key"] == "fail-1"
        (attached,) = server.ask("GET", NOTEBOOKS)[1]["notebooks"]
        assert (attached["path"], attached["cluster"], attached["is_connected"]) == ("a.ipynb", "e2e", True)

        (folder / "mended").touch()
        assert server.ask("POST", "/e2e/retry", {"keys": ["fail-1"]}) == (200, {"keys": ["fail-1"]})
        kernel.stdin.write("\n")
        kernel.stdin.flush()
        assert kernel.stdout.readline() == "printed\n"

        (worker,) = server.ask("GET", "/e2e/workers")[1]["workers"]
        assert server.ask("POST", f"/e2e/workers/{worker['name']}/restart", {}) == (204, None)
        (fresh,) = server.ask("GET", "/e2e/workers")[1]["workers"]
        assert (fresh["name"], fresh["pid"] != worker["pid"]) == (worker["name"], True)
        assert server.ask("GET", "/e2e/workers/worker-0/log")[0] == 200
        server.ask_until("/e2e", lambda model: model["losses"] or model["workers"] == 1)
        assert server.ask("DELETE", "/e2e") == (204, None)
