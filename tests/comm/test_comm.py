import subprocess
import sys

PROGRAM = """
import sys
import jupyter_dist.comm.connect, jupyter_dist.comm.serve, jupyter_dist.comm.links, jupyter_dist.comm.pool
print([name for name in ("pickle", "cloudpickle", "jupyter_dist.protocol.payload") if name in sys.modules])
"""


def test_connections_are_made_without_loading_a_pickler_of_user_code():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = done.stdout
    assert "cloudpickle" not in loaded
    assert "payload" not in loaded
