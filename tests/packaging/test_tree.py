"""What holds for every file of the repository: it names no registry's host and no path of somebody's machine."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "labextension" / "package-lock.json"
HOST = re.compile(r"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]+)")
REGISTRY = re.compile(
    r"(^|[.-])(registry|artifactory|nexus|devpi|npmjs|yarnpkg|pypi|pythonhosted|proxy|mirrors?)([.-]|$)"
)
EXAMPLES = r"(?!(?:me|you|user)\b)"  # nobody's home
MACHINE_PATH = re.compile(rf"(?<![\w.*}}>/])/(?:home|Users|work|root|mnt|opt)/{EXAMPLES}[A-Za-z0-9_-]+")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every file that is committed or would be, by its name; those that are not text are left out."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    found = {}
    for name in names:
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return found


def test_no_file_names_the_host_of_a_registry(texts: dict[str, str]) -> None:
    named = {
        (name, host) for name, text in texts.items() for host in HOST.findall(text) if REGISTRY.search(host.lower())
    }
    assert named == set()


def test_no_file_names_a_path_of_a_machine(texts: dict[str, str]) -> None:
    named = {(name, path) for name, text in texts.items() for path in MACHINE_PATH.findall(text)}
    assert named == set()


def test_bundle_and_environment_are_not_committed(texts: dict[str, str]) -> None:
    built = ("jupyter_dist/labextension/", "labextension/node_modules/", "labextension/lib", ".venv/")
    assert [name for name in texts if name.startswith(built)] == []


def test_lock_file_says_what_is_installed_but_not_from_where() -> None:
    packages = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


def test_lock_file_agrees_with_package_json() -> None:
    wanted = json.loads((LOCK.parent / "package.json").read_text(encoding="utf-8"))
    locked = json.loads(LOCK.read_text(encoding="utf-8"))["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert locked[kind] == wanted[kind]
