"""What this process is made of: the versions that decide whether two processes understand each other's pickles.

Read from the packages' metadata: nothing is imported for it.
"""

from __future__ import annotations

import importlib.metadata
import platform

from jupyter_dist._version import __version__

PACKAGES = ("cloudpickle", "msgspec", "numpy", "pandas")


def own_versions() -> dict[str, str]:
    """Return the versions of Python, of this package, and of those packages that are installed."""
    versions = {"python": platform.python_version(), "jupyter_dist": __version__}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
