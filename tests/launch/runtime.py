"""A runtime folder of a test's own."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from jupyter_dist.launch.connection_file import read_clusters
from jupyter_dist.launch.local import stop_cluster


@contextlib.contextmanager
def own_runtime(monkeypatch):
    """Short enough for sockets, under the worst umask; clusters in it are stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="jd-test-"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    before = os.umask(0)
    try:
        yield folder / "jupyter_dist"
    finally:
        os.umask(before)
        for info in read_clusters():
            if info.pid != os.getpid():  # some tests only write files, of a cluster whose nanny would be this process
                stop_cluster(info)
        shutil.rmtree(folder)
