"""Whether a client and its workers can work together, by their versions."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_dist.errors import VersionMismatchError

DECISIVE = {"python": 2, "cloudpickle": 1}  # how many parts of a version must be the same


def compare_versions(client: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> None:
    """Raise VersionMismatchError when one side may not understand what the other pickles."""
    faults = [
        f"{name} has {package} {versions.get(package, '(none)')}, this process has {client.get(package, '(none)')}"
        for name, versions in workers.items()
        for package, parts in DECISIVE.items()
        if _beginning(versions, package, parts) != _beginning(client, package, parts)
    ]
    if faults:
        raise VersionMismatchError(
            f"{'; '.join(faults)}: functions pickled by one may not load in the other. Start the cluster from the "
            "environment of this process, or install the same versions there and restart the cluster"
        )


def _beginning(versions: Mapping[str, str], package: str, parts: int) -> list[str]:
    return versions.get(package, "").split(".")[:parts]
