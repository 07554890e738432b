import os
import subprocess
import sys

import pytest

from jupyter_dist.errors import UsageError
from jupyter_dist.launch.cluster import LocalCluster
from jupyter_dist.launch.connection_file import find_cluster, is_live
from tests.launch.test_local import ROOT, assert_nothing_left
from tests.processes.nanny_host import is_alive

pytestmark = pytest.mark.process
SCRIPT = """
from jupyter_dist.launch.cluster import LocalCluster
cluster = LocalCluster(1)
print(cluster.info.pid)
raise SystemExit("a script that ends without a word to its cluster")
"""


def test_with_block_ends_the_cluster(runtime):
    with LocalCluster(1, name="try", memory_limit="1GB") as cluster:
        assert find_cluster("try") == cluster.info
        assert not cluster.info.detached
        assert "1 worker on " in repr(cluster)
        assert "secret" not in repr(cluster)
        assert not cluster.is_closed
    assert cluster.is_closed
    assert_nothing_left(cluster.info, runtime)
    cluster.close()
    assert repr(cluster) == "<LocalCluster try: closed>"


def test_name_by_default_is_nobody_elses(runtime):
    with LocalCluster(1) as one, LocalCluster(1) as other:
        assert one.name != other.name


def test_end_of_the_script_ends_the_cluster(runtime):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, env={**os.environ, "PYTHONPATH": ROOT}, check=False
    )
    assert done.returncode == 1
    assert not is_alive(int(done.stdout))  # closed at exit, not some time after
    assert list(runtime.iterdir()) == []


def test_close_in_a_forked_child_does_nothing(runtime):
    with LocalCluster(1) as cluster:
        child = os.fork()
        if child == 0:
            cluster.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert is_live(cluster.info)


def test_no_workers_is_refused(runtime):
    with pytest.raises(UsageError, match="at least one"):
        LocalCluster(0)
