"""What the futures of lost sessions are called, and by what a kernel is known again."""

import pytest

from jupyter_dist.client.attaching import names_of
from jupyter_dist.client.connecting import kernel_name
from jupyter_dist.messages import SessionView, WantedKey


def session(*wanted: tuple[str, tuple[str, ...]]) -> SessionView:
    keys = tuple(WantedKey(key, "f", "memory", 0.0, names) for key, names in wanted)
    return SessionView("id", "nb", "kernel", 1, False, 0.0, 0.0, len(keys), keys)


def test_names_of_the_newest_session_win_and_no_key_is_left_out():
    newest = session(("a", ("x", "y")), ("b", ()))
    older = session(("c", ("x",)), ("d", ("z",)), ("b", ("w",)), ("z", ()))
    assert names_of([newest, older]) == {"c": "c", "z": "d", "w": "b", "key z": "z", "x": "a", "y": "a"}
    assert names_of([]) == {}


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["ipykernel_launcher.py", "-f", "/run/kernel-1a2b.json"], "kernel-1a2b"),
        (["ipykernel_launcher.py", "--f=/run/kernel-1a2b.json"], "kernel-1a2b"),
        (["ipykernel_launcher.py", "-f"], ""),
        (["ipykernel_launcher.py"], ""),
        ([], ""),
    ],
)
def test_kernel_without_a_notebook_is_known_by_its_connection_file(argv, name):
    assert kernel_name(argv) == name
