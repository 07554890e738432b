"""Which loaded modules must go when some change: the changed ones, all below them, and all that import any of these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def find_dependents(changed: Iterable[str], imports: Mapping[str, Collection[str]]) -> set[str]:
    """Return the names of modules that have anything of the changed ones in them.

    Parameters
    ----------
    changed
        Dotted names; all below each of them count as changed.
    imports
        What each module that may be dropped imports. Others are never dropped.
    """
    gone = set(changed)
    before = -1
    while len(gone) != before:
        before = len(gone)
        gone.update(name for name, imported in imports.items() if _has_parent_in(name, gone) or _hits(imported, gone))
    return gone


def _has_parent_in(name: str, gone: set[str]) -> bool:
    while name:
        if name in gone:
            return True
        name = name.rpartition(".")[0]
    return False


def _hits(imported: Collection[str], gone: set[str]) -> bool:
    return not gone.isdisjoint(imported)
