"""The demonstration: ``notebooks/01_first_cluster.ipynb`` run as a user's browser would run it, from start to end.

A real Jupyter server is started with the extension that is installed, a cluster is started through the extension's
REST interface, the notebook is executed in a kernel of that server over its websocket, and the cluster is stopped by
REST again. What the cells show is saved as a notebook and as HTML below ``build/demo``.

The server has folders, a port and a token of its own, listens on this machine only, and leaves nothing behind: all it
starts is found by the runtime folder in its environment. Every wait has a limit and says what it waited for.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbconvert import HTMLExporter
from nbformat import NotebookNode, v4
from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "01_first_cluster.ipynb"
RESULTS = ROOT / "build" / "demo"
CLUSTERS = "jupyter_dist/api/v1/clusters"
CLUSTER = "default"
REPORT = "JUPYTER_DIST_DEMO_REPORT"
WIDGET = "application/vnd.jupyter.widget-view+json"
START_S_MAX = 60.0
CELL_S_MAX = 180.0
STOP_S_MAX = 15.0
GRACE_S_MAX = 5.0
POLL_S = 0.05
LOG_CHARACTERS = 3000
BUSY = 0.7  # a load above this before we begin makes the speed-up smaller than it is
SHOWN = ("stream", "display_data", "execute_result", "error")

Say = Callable[[str], None]

notebooks: Any = nbformat  # half of it has types, which is worse for a checker than none
html_exporter: Any = HTMLExporter
output_from_message: Any = v4.output_from_msg


class DemoError(Exception):
    """The demonstration failed; the text is for the person who ran it."""


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What a run gave. ``figures`` are those the notebook measured itself."""

    figures: dict[str, float]
    notebook: Path
    html: Path
    seconds: float


# ------------------------------------------------------------------------------------------------------ the server


class DemoServer:
    """A Jupyter server in a process of its own, everything of it below one folder."""

    def __init__(self, folder: Path) -> None:
        self.runtime = folder / "runtime"
        self.report = folder / "report.json"
        self.url = ""
        self._token = secrets.token_hex(16)
        self._log = folder / "server.log"
        self._http = AsyncHTTPClient()
        config = folder / "config" / "jupyter_server_config.json"
        config.parent.mkdir()
        app = {"ip": "127.0.0.1", "port": 0, "open_browser": False, "allow_root": True, "root_dir": str(folder)}
        config.write_text(json.dumps({"ServerApp": app}), encoding="utf-8")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server"],
                env=self._env(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt in the terminal is ours, and we end it in order
            )

    def _env(self, folder: Path) -> dict[str, str]:
        places = {
            "JUPYTER_CONFIG_DIR": folder / "config",
            "JUPYTER_DATA_DIR": folder / "data",
            "JUPYTER_RUNTIME_DIR": self.runtime,
            "IPYTHONDIR": folder / "ipython",
            REPORT: self.report,
        }
        inherited = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        return {**inherited, **{name: str(path) for name, path in places.items()}, "JUPYTER_TOKEN": self._token}

    async def come_up(self) -> None:
        """Wait until it answers and has our extension."""
        await wait_until(self._find_url, START_S_MAX, "the Jupyter server to say where it is", self.log)
        await wait_until(self._answers, START_S_MAX, "the Jupyter server to answer", self.log)
        try:
            await self.ask("GET", CLUSTERS)
        except HTTPError as error:
            raise DemoError(
                f"the Jupyter server runs without the jupyter_dist extension ({error}): install the package with "
                "`pip install .` and look at `jupyter server extension list`"
            ) from None

    async def ask(self, verb: str, path: str, body: object = None, limit_s: float = START_S_MAX) -> Any:
        """Ask the REST interface and return what it answers; None when it answers without a body."""
        request = HTTPRequest(
            self.url + path,
            method=verb,
            headers=self.headers(),
            body=None if body is None else json.dumps(body),
            request_timeout=limit_s,
        )
        answer = await self._http.fetch(request)
        return json.loads(answer.body) if answer.body else None

    def headers(self) -> dict[str, str]:
        """Return what proves to the server that it is us."""
        return {"Authorization": f"token {self._token}"}

    def log(self) -> str:
        """Return the end of what the server printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]

    def stop(self) -> list[str]:
        """End the server, and whatever it left; return what it left, in words."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        _, left = psutil.wait_procs(self._started(), timeout=GRACE_S_MAX)
        words = [describe(process) for process in left]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(left, timeout=GRACE_S_MAX)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return words

    def _started(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if has_environment(process, str(self.runtime))]

    async def _find_url(self) -> bool:
        self._check_alive()
        found = self.runtime / f"jpserver-{self.process.pid}.json"  # how a port of the system's choice is learned
        text = found.read_text(encoding="utf-8") if found.exists() else ""
        self.url = str(json.loads(text)["url"]) if text.endswith("}") else ""
        return bool(self.url)

    async def _answers(self) -> bool:
        self._check_alive()
        try:
            await self.ask("GET", "api/status")
        except OSError:
            return False  # it says where it is a moment before it listens
        return True

    def _check_alive(self) -> None:
        if self.process.poll() is not None:
            raise DemoError(f"the Jupyter server ended with {self.process.returncode}:\n{self.log()}")


async def wait_until(
    is_reached: Callable[[], Awaitable[bool]], limit_s: float, what: str, detail: Callable[[], str]
) -> None:
    """Ask again and again until something is so."""
    end_s = time.monotonic() + limit_s
    while not await is_reached():
        if time.monotonic() > end_s:
            raise DemoError(f"waited {limit_s:.0f} s for {what}, in vain:\n{detail()}")
        await asyncio.sleep(POLL_S)


def has_environment(process: psutil.Process, runtime: str) -> bool:
    """Tell whether a process was started by the server with this runtime folder, at whatever remove."""
    try:
        is_ours = process.environ().get("JUPYTER_RUNTIME_DIR") == runtime
        is_dead = process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    return bool(is_ours and not is_dead)


def describe(process: psutil.Process) -> str:
    """Return a process in words."""
    try:
        return f"pid {process.pid}: {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return f"pid {process.pid}"


# ----------------------------------------------------------------------------------------------------- the cluster


async def start_cluster(server: DemoServer) -> dict[str, Any]:
    """Start the cluster the notebook finds, wait until all its workers are there, and return what REST says of it."""
    model: dict[str, Any] = await server.ask("POST", CLUSTERS, {"name": CLUSTER})

    async def is_up() -> bool:
        model.update(await server.ask("GET", f"{CLUSTERS}/{CLUSTER}"))
        if model["state"] not in {"starting", "running"}:
            raise DemoError(f"the cluster is {model['state']}: {model['reason']}\n{model['log']}")
        return bool(model["state"] == "running" and 0 < model["wanted"] <= model["workers"])

    await wait_until(is_up, START_S_MAX, "the cluster to run", lambda: str(model))
    return model


async def stop_cluster(server: DemoServer) -> None:
    """Stop the cluster and see that it is gone."""
    answer = await server.ask("DELETE", f"{CLUSTERS}/{CLUSTER}")
    left = (await server.ask("GET", CLUSTERS))["clusters"]
    if answer is not None or left:
        raise DemoError(f"the cluster was stopped, but REST still tells of it: {answer or left}")


# ------------------------------------------------------------------------------------------------------ the kernel


class Screen:
    """What a browser would show: outputs of cells, also those that come or change when the cell is long done."""

    def __init__(self) -> None:
        self._cells: dict[str, NotebookNode] = {}  # by the id of the request that runs the cell
        self._displays: dict[str, list[NotebookNode]] = {}
        self._clearing: set[str] = set()

    def add(self, request: str, cell: NotebookNode) -> None:
        """Show what answers this request below this cell."""
        self._cells[request] = cell
        cell.outputs = []

    def take(self, message: dict[str, Any]) -> None:
        """Show a message of the kernel, if there is something to show."""
        kind, content = message["header"]["msg_type"], message["content"]
        display = content.get("transient", {}).get("display_id", "")
        if kind == "update_display_data":
            for output in self._displays.get(display, []):
                output.data, output.metadata = map(notebooks.from_dict, (content["data"], content["metadata"]))
            return
        request = message["parent_header"].get("msg_id", "")
        cell = self._cells.get(request)
        if cell is None:
            return
        if kind == "clear_output":
            self._clear(request, cell, wait=content["wait"])
        elif kind in SHOWN:
            self._clear(request, cell, wait=request not in self._clearing)
            self._show(cell, output_from_message(message), display)

    def _clear(self, request: str, cell: NotebookNode, *, wait: bool) -> None:
        if wait and cell.outputs and request not in self._clearing:
            return
        self._clearing.discard(request)
        cell.outputs.clear()

    def _show(self, cell: NotebookNode, output: NotebookNode, display: str) -> None:
        last = cell.outputs[-1] if cell.outputs else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
            return
        cell.outputs.append(output)
        if display:
            self._displays.setdefault(display, []).append(output)


class Kernel:
    """A kernel of the server, reached by the websocket a browser would use."""

    def __init__(self, socket: WebSocketClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session
        self._screen = Screen()

    @classmethod
    async def start(cls, server: DemoServer) -> tuple[str, "Kernel"]:
        """Start a kernel; return its id and the connection to it."""
        identity = (await server.ask("POST", "api/kernels", {"name": "python3"}))["id"]
        session = uuid.uuid4().hex
        url = f"ws{server.url.removeprefix('http')}api/kernels/{identity}/channels?session_id={session}"
        socket = await websocket_connect(
            HTTPRequest(url, headers=server.headers(), connect_timeout=START_S_MAX),
            max_message_size=256 * 1024 * 1024,
        )
        return identity, cls(socket, session)

    async def run(self, cell: NotebookNode) -> dict[str, Any]:
        """Execute a cell, wait until the kernel is idle again, and return its reply."""
        request = uuid.uuid4().hex
        self._screen.add(request, cell)
        header = {"msg_id": request, "msg_type": "execute_request", "session": self._session, "username": "demo"}
        content = {"code": cell.source, "silent": False, "store_history": True, "allow_stdin": False}
        message = {
            "header": {**header, "version": "5.3", "date": ""},
            "parent_header": {},
            "metadata": {},
            "content": content | {"stop_on_error": True, "user_expressions": {}},
            "channel": "shell",
        }
        await self._socket.write_message(json.dumps(message))
        reply = await self._answer_to(request)
        cell.execution_count = reply.get("execution_count")
        return reply

    async def _answer_to(self, request: str) -> dict[str, Any]:
        reply: dict[str, Any] | None = None
        is_idle = False
        while reply is None or not is_idle:
            raw = await self._socket.read_message()
            if raw is None:
                raise DemoError("the kernel's connection was closed: it died, or the server did")
            message = read_message(raw)
            self._screen.take(message)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "execute_reply":
                reply = content
            is_idle |= kind == "status" and content["execution_state"] == "idle"
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def read_message(raw: str | bytes) -> dict[str, Any]:
    """Decode what came over the websocket; a message with buffers is binary, and its buffers are widgets' affairs."""
    if isinstance(raw, bytes):
        begin, end = struct.unpack("!2i", raw[4:12])
        raw = raw[begin:end].decode()
    message: dict[str, Any] = json.loads(raw)
    return message


# ---------------------------------------------------------------------------------------------------- the whole run


async def run_notebook(server: DemoServer, notebook: NotebookNode, say: Say) -> None:
    """Execute all cells in a fresh kernel, and end it."""
    identity, kernel = await Kernel.start(server)
    try:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                await run_cell(kernel, cell, say)
    finally:
        kernel.close()
        await server.ask("DELETE", f"api/kernels/{identity}")


async def run_cell(kernel: Kernel, cell: NotebookNode, say: Say) -> None:
    """Execute one cell and say how long it took."""
    title = next((line for line in cell.source.splitlines() if line.strip()), "")[:70]
    began_s = time.monotonic()
    try:
        reply = await asyncio.wait_for(kernel.run(cell), CELL_S_MAX)
    except TimeoutError:
        raise DemoError(f"the cell that begins with `{title}` was not done after {CELL_S_MAX:.0f} s") from None
    if reply["status"] != "ok":
        words = f"{reply.get('ename', reply['status'])}: {reply.get('evalue', '')}"
        raise DemoError(f"the cell that begins with `{title}` failed: {words}")
    say(f"  [{cell.execution_count}] {title} ({time.monotonic() - began_s:.1f} s)")


def save(notebook: NotebookNode, folder: Path, name: str) -> tuple[Path, Path]:
    """Save what was executed as a notebook and as HTML; return where."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", {}):
                output.data.pop(WIDGET, None)  # its kernel is gone: what stands in for it reads better
    folder.mkdir(parents=True, exist_ok=True)
    as_notebook, as_html = folder / f"{name}.ipynb", folder / f"{name}.html"
    notebooks.write(notebook, as_notebook)
    html, _resources = html_exporter().from_notebook_node(notebook, {"metadata": {"name": name}})
    as_html.write_text(html, encoding="utf-8")
    return as_notebook, as_html


async def use_server(server: DemoServer, notebook: NotebookNode, say: Say) -> None:
    """Start the cluster, run the notebook on it, and stop the cluster."""
    await server.come_up()
    say(f"a Jupyter server is up at {server.url}")
    model = await start_cluster(server)
    say(f"cluster {CLUSTER!r} is running with {model['workers']} workers, started through REST")
    try:
        await run_notebook(server, notebook, say)
    finally:
        await stop_cluster(server)
    say("the cluster was stopped through REST")


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep a second Ctrl-C from cutting short what the first one began; for the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


def run_demo(path: Path = NOTEBOOK, results: Path = RESULTS, say: Say = print) -> DemoReport:
    """Run a notebook on a server and a cluster of its own and save what it shows.

    Raises
    ------
    DemoError
        A cell failed, something did not come up in time, or a process was left behind. What the cells had shown until
        then is saved all the same.
    """
    began_s = time.monotonic()
    notebook = notebooks.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="demo-", ignore_cleanup_errors=True) as folder:
        server = DemoServer(Path(folder))
        try:
            asyncio.run(use_server(server, notebook, say))
        finally:
            with uninterrupted():
                left = server.stop()
                as_notebook, as_html = save(notebook, results, path.stem)
        if left:
            raise DemoError("processes were left behind, and have been killed:\n" + "\n".join(left))
        if not server.report.exists():
            raise DemoError(f"the notebook told no figures: it did not write the file that ${REPORT} names")
        figures = json.loads(server.report.read_text(encoding="utf-8"))
    return DemoReport(figures, as_notebook, as_html, time.monotonic() - began_s)


def main(arguments: list[str]) -> int:
    """Run the demonstration and say what came of it."""
    parser = argparse.ArgumentParser(prog="make demo", description="Run the first notebook on a cluster, headless.")
    parser.add_argument("--notebook", type=Path, default=NOTEBOOK)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the notebook and its HTML go")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    try:
        report = run_demo(options.notebook, options.results, lambda text: print(text, flush=True))
    except DemoError as error:
        print(f"make demo: FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        print("make demo: interrupted")
        return 130
    figures = report.figures
    print(f"tasks done: {figures['tasks']:,.0f}, {figures['tasks_failed']:.0f} of them with an error, as they should")
    print(f"wall time: {figures['cluster_s']:.1f} s on {figures['workers']:.0f} workers")
    print(f"speed-up over one process ({figures['serial_s']:.1f} s): {figures['speed_up']:.2f} times")
    if load > BUSY:
        print(f"  (this machine was busy already, load {load:.1f}: what others take from the workers is not in that)")
    print(f"what the notebook shows: {report.html}")
    print(f"make demo: done in {report.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
