"""Builds the Lab extension and ships it with the package; everything else is said in pyproject.toml.

The bundle is built from ``labextension/`` into ``jupyter_dist/labextension/`` when its sources changed, and is never
committed: bundlers put the folder's path into file names. ``build.sha256`` beside it holds the hash of the sources it
was built from. The environment variable ``JUPYTER_DIST_BUILD`` decides:

* ``auto`` (default): build when the sources changed and npm is there. When it is not, or when the build fails, the
  package is installed without the Lab sidebar, and says so: magics, widgets and the server extension work without it.
* ``force``: build in any case; a failure is an error. For releases and continuous integration.
* ``skip``: leave the bundle as it is.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent.resolve()
SOURCES = ROOT / "labextension"
BUNDLE = ROOT / "jupyter_dist" / "labextension"
STAMP = BUNDLE / "build.sha256"
INSTALLED_STAMP = SOURCES / "node_modules" / ".package-lock.sha256"
SHARE = "share/jupyter/labextensions/jupyter-dist"
SERVER_CONFIG = "jupyter-config/jupyter_server_config.d/jupyter_dist.json"
BUNDLE_INPUTS = ("package.json", "package-lock.json", "tsconfig.json")


def hash_of(*files: Path) -> str:
    """Return a hash of names and contents: times would not survive a clone."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(SOURCES).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def hash_of_sources() -> str:
    """Return the hash of all that goes into the bundle."""
    found = [
        *SOURCES.glob("src/**/*"),
        *SOURCES.glob("style/**/*"),
        *SOURCES.glob("schema/**/*"),
        *(SOURCES / name for name in BUNDLE_INPUTS),
    ]
    return hash_of(*sorted(path for path in found if path.is_file()))


def is_stamped(stamp: Path, want: str) -> bool:
    """Tell whether what the stamp stands beside was made from the wanted sources."""
    return stamp.exists() and stamp.read_text(encoding="ascii").strip() == want


def run_npm(npm: str, *arguments: str) -> None:
    """Run npm in the sources, with this environment's ``jupyter-builder`` on its path."""
    scripts = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    env = dict(os.environ, PATH=os.pathsep.join([*scripts, os.environ.get("PATH", os.defpath)]))
    subprocess.run([npm, *arguments], cwd=SOURCES, env=env, check=True)


def build_bundle(npm: str, want: str) -> None:
    """Install the front end's packages when their lock changed, and build the bundle."""
    locked = hash_of(SOURCES / "package-lock.json")
    if not is_stamped(INSTALLED_STAMP, locked):
        run_npm(npm, "ci", "--ignore-scripts")
        INSTALLED_STAMP.write_text(locked + "\n", encoding="ascii")
    shutil.rmtree(BUNDLE, ignore_errors=True)
    run_npm(npm, "run", "build")
    STAMP.write_text(want + "\n", encoding="ascii")
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # else hashed files of earlier bundles are shipped too


def ensure_bundle() -> None:
    """Build the bundle if it is asked for, needed and possible."""
    mode = os.environ.get("JUPYTER_DIST_BUILD", "auto")
    if mode == "skip" or not (SOURCES / "package.json").exists():
        return
    want = hash_of_sources()
    if mode == "auto" and is_stamped(STAMP, want):
        return
    npm = shutil.which("npm")
    try:
        if npm is None:
            raise FileNotFoundError("npm (Node.js) is not on the PATH")
        build_bundle(npm, want)
    except (OSError, subprocess.CalledProcessError) as error:
        if mode == "force":
            raise
        without = "with an older Lab sidebar" if STAMP.exists() else "WITHOUT the Lab sidebar"
        print(f"jupyter_dist: the Lab extension was not built: {error}. Installing {without}.", file=sys.stderr)


def data_files() -> list[tuple[str, list[str]]]:
    """Return what Jupyter looks for outside the package: the server's configuration and the Lab extension."""
    files = [("etc/jupyter/jupyter_server_config.d", [SERVER_CONFIG])]
    if not STAMP.exists():
        return files
    for folder, _, names in sorted(os.walk(BUNDLE)):
        place = "/".join([SHARE, *Path(folder).relative_to(BUNDLE).parts])
        files.append((place, [(Path(folder) / name).relative_to(ROOT).as_posix() for name in sorted(names)]))
    return [*files, (SHARE, ["labextension/install.json"])]


class BuildWithBundle(build_py):
    """The package's build, after the bundle's."""

    def run(self) -> None:
        """Build the bundle, then the package."""
        ensure_bundle()
        self.distribution.data_files = data_files()
        super().run()


class SdistWithBundle(sdist):
    """The source distribution, with the bundle in it: installing from it needs no Node."""

    def run(self) -> None:
        """Build the bundle, then the archive."""
        ensure_bundle()
        self.distribution.data_files = data_files()
        super().run()


class DistributionWithData(Distribution):
    """An editable install asks ``has_data()`` before it installs data files, and no distribution has that."""

    has_data = Distribution.has_data_files


if __name__ == "__main__":
    setup(
        distclass=DistributionWithData,
        cmdclass={"build_py": BuildWithBundle, "sdist": SdistWithBundle},
        data_files=data_files(),
    )
