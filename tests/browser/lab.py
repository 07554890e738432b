"""A real JupyterLab and a real browser, for the tests and for the documentation's pictures.

The Lab has folders, a token and a port of its own; whatever it starts carries its runtime folder in the environment,
by which `Lab.stop` finds what outlives it: clusters made in the sidebar are meant to. A tab remembers every page
error and every request that leaves this machine.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
from playwright.sync_api import Browser, Locator, Page, Playwright, Request

CLUSTERS = "jupyter_dist/api/v1/clusters"
START_S_MAX = 60.0
STOP_S_MAX = 10.0
WAIT_MS_MAX = 60_000
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
]
LAB_SETTINGS: dict[str, dict[str, object]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page
    "docmanager-extension/plugin": {"autosave": False},
}
LOCAL_HOSTS = ("127.0.0.1", "localhost")
LOCAL_SCHEMES = ("data", "blob", "about")
READY_KERNEL = """() => {
    const widget = jupyterapp.shell.currentWidget;
    const session = widget && widget.sessionContext && widget.sessionContext.session;
    const kernel = session && session.kernel;
    return kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


def launch_browser(playwright: Playwright, chromium: str) -> Browser:
    """Start the machine's own Chromium without a window."""
    return playwright.chromium.launch(executable_path=chromium, headless=True, args=BROWSER_FLAGS)


class Lab:
    """One running JupyterLab, everything of it below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.runtime = folder / "runtime"
        self.root.mkdir(parents=True)
        self.token = secrets.token_hex(8)
        self._write_settings()
        self._log_path = folder / "server.log"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                self._command(), env=self._env(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self.url = self._wait_for_url()
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> str:
        """What the server has printed so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def api(self, method: str, path: str) -> Any:
        """Ask the server's REST interface."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=START_S_MAX) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def write_notebook(self, name: str, *sources: str) -> None:
        """Put a notebook with these code cells into the Lab's folder."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), self.root / name)

    def shutdown_kernels(self) -> None:
        """End every kernel of this Lab."""
        for kernel in self.api("GET", "api/kernels"):
            self.api("DELETE", f"api/kernels/{kernel['id']}")

    def stop_clusters(self) -> None:
        """Stop every cluster that was started from this Lab or its notebooks."""
        for cluster in self.api("GET", CLUSTERS)["clusters"]:
            self.api("DELETE", f"{CLUSTERS}/{cluster['name']}")

    def stop(self) -> None:
        """End the server and all it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        left = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(left, timeout=STOP_S_MAX)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get("JUPYTER_RUNTIME_DIR") == str(self.runtime))
        except psutil.Error:
            return False

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            "--port=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.root}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
        ]

    def _env(self) -> dict[str, str]:
        places = {
            "JUPYTER_CONFIG_DIR": self.folder / "config",
            "JUPYTER_DATA_DIR": self.folder / "data",
            "JUPYTER_RUNTIME_DIR": self.runtime,
            "JUPYTERLAB_SETTINGS_DIR": self.folder / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": self.folder / "workspaces",
            "IPYTHONDIR": self.folder / "ipython",
        }
        return {**os.environ, **{name: str(path) for name, path in places.items()}, "BOKEH_RESOURCES": "inline"}

    def _write_settings(self) -> None:
        for plugin, values in LAB_SETTINGS.items():
            file = self.folder / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values), encoding="utf-8")

    def _wait_for_url(self) -> str:
        found = self.runtime / f"jpserver-{self.process.pid}.json"  # how a port of the system's choice is learned
        until_s = time.monotonic() + START_S_MAX
        while time.monotonic() < until_s and self.process.poll() is None:
            if found.exists() and (text := found.read_text(encoding="utf-8")):
                return str(json.loads(text)["url"])
            time.sleep(0.05)
        raise RuntimeError(f"JupyterLab did not come up:\n{self.log}")


class Tab:
    """One page of the browser, in a context of its own."""

    def __init__(self, browser: Browser, lab: Lab) -> None:
        self.lab = lab
        self.errors: list[str] = []
        self.strays: list[str] = []
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.context.set_default_timeout(WAIT_MS_MAX)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)

    def open(self, path: str = "lab") -> None:
        """Load Lab with nothing remembered from before, and wait until it stands."""
        self.page.goto(f"{self.lab.url}{path}?token={self.lab.token}&reset")
        self.page.wait_for_function("() => window.jupyterapp")
        self.page.evaluate("() => window.jupyterapp.restored.then(() => true)")

    def open_notebook(self, name: str) -> None:
        """Open a notebook and wait for its kernel."""
        self.open(f"lab/tree/{name}")
        self.page.wait_for_function(READY_KERNEL)

    def open_sidebar(self) -> Locator:
        """Show the clusters and return their sidebar."""
        self.execute("jupyter-dist:show-clusters")
        sidebar = self.page.locator("#jupyter-dist-clusters")
        sidebar.wait_for()
        return sidebar

    def execute(self, command: str, **arguments: object) -> None:
        """Execute a command of Lab and wait for its end."""
        self.page.evaluate(
            "([id, args]) => jupyterapp.commands.execute(id, args).then(() => true)", [command, arguments]
        )

    def run_all(self) -> None:
        """Run all cells and wait until they have ended."""
        self.execute("notebook:run-all-cells")

    def cell(self, number: int) -> Locator:
        """Return a cell of the notebook that is shown, from 0."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").nth(number)

    def output(self, number: int) -> Locator:
        """Return a cell's output."""
        return self.cell(number).locator(".jp-OutputArea").first

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something holds that only Python can see; the page goes on meanwhile."""
        until_s = time.monotonic() + WAIT_MS_MAX / 1000
        while not condition():
            if time.monotonic() > until_s:
                raise TimeoutError(f"waited too long until {what}")
            self.page.wait_for_timeout(100)

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page, where one is asked for by SCREENSHOTS."""
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def close(self) -> None:
        """Close the page and forget its context."""
        self.context.close()

    def _note(self, request: Request) -> None:
        url = urllib.parse.urlsplit(request.url)
        if url.scheme not in LOCAL_SCHEMES and url.hostname not in LOCAL_HOSTS:
            self.strays.append(request.url)
