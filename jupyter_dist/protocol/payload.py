"""A user's values as bytes: a pickle stream, and raw buffers beside it.

Only clients and workers import this module: whoever unpickles runs the user's code. Scheduler and nanny pass these
bytes on unread. Protocol 5 takes large arrays out of the stream as buffers, so they are sent from where they are and
loaded over the memory they arrived in. Small ones stay in the stream: a buffer of its own would cost more than it saves.
"""

from collections.abc import Sequence
from pickle import PickleBuffer, dumps, loads

from jupyter_dist.errors import PackingError, ProtocolError
from jupyter_dist.protocol.by_value import PICKLE_PROTOCOL, dump_by_value
from jupyter_dist.protocol.framing import BUFFERS_MAX, Buffer

OUT_OF_BAND_BYTES_MIN = 4096
PLAIN_TYPES = frozenset((type(None), bool, int, float, complex, str, bytes))  # cloudpickle adds nothing to these


def pack_value(value: object) -> list[Buffer]:
    """Return a value as buffers: the pickle stream first, then the raw ones it refers to, in order, not copied.

    Raises
    ------
    PackingError
        The value, or something it refers to, cannot be pickled.
    """
    buffers: list[Buffer] = []

    def keep_in_band(buffer: PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous: the pickler says what it thinks of it
            return True
        if raw.nbytes < OUT_OF_BAND_BYTES_MIN or len(buffers) >= BUFFERS_MAX - 1:
            return True
        buffers.append(raw)
        return False

    try:
        if type(value) in PLAIN_TYPES:
            return [dumps(value, PICKLE_PROTOCOL)]
        stream = dump_by_value(value, keep_in_band)
    except Exception as error:
        raise _packing_error(value, error) from error
    return [stream, *buffers]


def pack_inline(value: object) -> bytes:
    """Return a value as one plain pickle stream, buffers in band.

    Raises
    ------
    PackingError
        The value, or something it refers to, cannot be pickled.
    """
    try:
        if type(value) in PLAIN_TYPES:
            return dumps(value, PICKLE_PROTOCOL)
        return dump_by_value(value)
    except Exception as error:
        raise _packing_error(value, error) from error


def unpack_value(buffers: Sequence[Buffer]) -> object:
    """Return the value of `pack_value` or, from one buffer, of `pack_inline`. This runs the user's code.

    The value may keep the buffers and write to them.

    Raises
    ------
    ProtocolError
        There is no pickle stream.
    Exception
        Whatever loading the value raises.
    """
    if not buffers:
        raise ProtocolError("a value without a pickle stream")
    return loads(buffers[0], buffers=buffers[1:])  # noqa: S301 - peers have proved themselves; see the top


def _packing_error(value: object, error: Exception) -> PackingError:
    try:
        reason = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the text of a user's error is the user's code
        reason = type(error).__name__
    return PackingError(f"a {type(value).__qualname__} cannot be pickled: {reason}")
