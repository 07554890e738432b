"""Records in words for a person, as the scheduler and clients both say them."""

from collections.abc import Iterator

from jupyter_dist.messages import ErrorInfo

TEXT_MAX = 500  # characters of an error that are told


def describe_error(error: ErrorInfo, key: str) -> Iterator[str]:
    """Say what an error is, where it was raised, and by which task if it is another's."""
    text = error.text if len(error.text) <= TEXT_MAX else f"{error.text[:TEXT_MAX]}…"
    yield f"{error.type_name}: {text}"
    if error.key and error.key != key:
        yield f"it was raised by {error.key}, which this was made from"
    if error.filename:
        yield f"in {error.function or 'the module'}, {error.filename}:{error.line}"
