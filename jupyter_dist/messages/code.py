"""Code that every worker shall have: a user's files, from a client through the scheduler to all workers.

The scheduler keeps the files for workers that come later, and never looks into them.
"""

from jupyter_dist.messages.base import ErrorInfo, Message, Record


class CodeFile(Record):
    """One file of Python code.

    ``name`` is a module's dotted name, or an archive's file name. ``version`` is a hash of ``body``. ``kind`` is
    module, package (the ``__init__`` of one) or archive. ``is_upload``: the user asked for it by name, so workers try to
    import it and tell what that raised.
    """

    name: str
    version: str
    body: bytes
    kind: str = "module"
    is_upload: bool = False


class PutCode(Message, tag=150):
    """From a client: let all workers have these files before what is submitted after this; also those that come later.

    With a ``request`` it is answered when the workers named in ``workers`` (all when empty) have them and all that was
    put before; so a PutCode without files asks whether they do. Files named in ``again`` were put earlier: what the
    workers make of them is asked once more.
    """

    request: int
    files: tuple[CodeFile, ...] = ()
    workers: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


class CodeReplaced(Message, tag=151):
    """To a client: the cluster has other files under these names than this client put, or none.

    ``refused`` says why it did not take them, when this is about files that were just put.
    """

    names: tuple[str, ...]
    refused: str = ""


class TakeCode(Message, tag=152):
    """To a worker: have these files in place before what is assigned after this. Answered with `CodeTaken`."""

    number: int
    files: tuple[CodeFile, ...] = ()


class CodeTaken(Message, tag=153):
    """From a worker: the files are in place, or why one is not. ``modules`` are all it has, with their versions."""

    number: int
    error: ErrorInfo | None = None
    modules: tuple[tuple[str, str], ...] = ()


class DescribeVersions(Message, tag=158):
    """From a client: ask for the versions of what the scheduler is made of."""

    request: int
