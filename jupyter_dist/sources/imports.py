"""What a module imports, read from its source: nothing is run.

Imports inside functions count as well. ``from a import b`` may mean the module ``a.b`` or a name in ``a``: both are
told, and whoever asks looks which of them is a file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator


def imported_names(source: bytes, module: str, *, is_package: bool) -> frozenset[str]:
    """Return the dotted names a module may import; none when it is no Python that this Python can read.

    Parameters
    ----------
    source
        The module's file.
    module
        Its dotted name, which relative imports are resolved against.
    is_package
        Whether the file is the ``__init__`` of a package.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    package = module if is_package else module.rpartition(".")[0]
    return frozenset(name for node in ast.walk(tree) for name in _names_in(node, package))


def _names_in(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _base_of(node, package)
        if base:
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _base_of(node: ast.ImportFrom, package: str) -> str:
    """Return the module an import is from; empty when it goes up too far."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    if not package or node.level > len(parts):
        return ""
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
