"""A real kernel, and what it says: every message with the cell it belongs to."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]
OUTPUTS = {"stream", "display_data", "update_display_data", "execute_result", "error"}


class Kernel:
    """Runs cells and keeps what they say, by the message id of the cell."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager = manager
        self.client = client
        self.messages: list[dict[str, Any]] = []
        self.done: set[str] = set()

    def start(self, source: str) -> str:
        """Send a cell and return its id."""
        cell: str = self.client.execute(source)
        return cell

    def run(self, source: str, timeout_s: float = 60.0) -> str:
        """Run a cell to its end."""
        cell = self.start(source)
        self.listen(lambda: cell in self.done, timeout_s)
        return cell

    def listen(self, is_enough: Any, timeout_s: float = 60.0) -> None:
        """Take in messages until it is enough."""
        deadline = time.monotonic() + timeout_s
        while not is_enough():
            left = deadline - time.monotonic()
            assert left > 0, [(m["msg_type"], m["content"]) for m in self.messages]
            message = self.client.get_iopub_msg(timeout=left)
            parent = message["parent_header"].get("msg_id", "")
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                self.done.add(parent)
            if message["msg_type"] in OUTPUTS:
                self.messages.append(message)

    def of(self, cell: str, kind: str) -> list[dict[str, Any]]:
        """Return the contents of one kind that belong to a cell."""
        return [
            message["content"]
            for message in self.messages
            if message["msg_type"] == kind and message["parent_header"]["msg_id"] == cell
        ]

    def text(self, cell: str) -> str:
        """Return what a cell printed."""
        return "".join(content["text"] for content in self.of(cell, "stream"))

    def error(self, cell: str) -> str:
        """Return the traceback a cell showed."""
        return "\n".join(line for content in self.of(cell, "error") for line in content["traceback"])

    def shown(self, kind: str, part: str) -> bool:
        """Tell whether a message of this kind has a text in it."""
        return any(part in str(message["content"]) for message in self.messages if message["msg_type"] == kind)


@contextlib.contextmanager
def real_kernel(folder: Path) -> Iterator[Kernel]:
    """Start a kernel whose clusters live in a folder of its own."""
    environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)}
    manager = KernelManager(kernel_name="python3", connection_file=str(folder / "kernel.json"))
    manager.start_kernel(env=environment)
    client = manager.blocking_client()
    client.start_channels()
    kernel = Kernel(manager, client)
    try:
        client.wait_for_ready(timeout=60)
        yield kernel
    finally:
        kernel.client.stop_channels()  # a restart gives it another
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@contextlib.contextmanager
def real_notebook(folder: Path, cluster: str, workers: int = 2) -> Iterator[Kernel]:
    """Start a kernel with the magics and a cluster, which is stopped in the end."""
    with real_kernel(folder) as kernel:
        kernel.run("%load_ext jupyter_dist")
        cell = kernel.run(f"%distributed start -n {workers} --name {cluster}")
        assert f"Cluster {cluster!r} started in" in kernel.text(cell), kernel.error(cell)
        yield kernel
        stop = kernel.run("%distributed stop")
        assert "was stopped" in kernel.text(stop), kernel.error(stop)


def receipt(kernel: Kernel, cell: str) -> str:
    """Return the receipt of a distributed cell, wherever its updates were sent from."""
    (first, *_) = kernel.of(cell, "display_data")
    place = first["transient"]["display_id"]

    def found() -> list[str]:
        return [
            message["content"]["data"]["text/plain"]
            for message in kernel.messages
            if message["content"].get("transient", {}).get("display_id") == place
            and "wall time" in message["content"]["data"]["text/plain"]
        ]

    kernel.listen(lambda: bool(found()))
    return found()[-1]
