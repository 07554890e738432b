"""Messages of one link as MessagePack, and back.

A frame carries a list of messages. Decoding is strict: only the records the link may carry, with fields of the right
types and nothing after them; everything else is a `ProtocolError`. This is the hottest path of the scheduler: one
encoder and one decoder a codec, one call a frame, no Python code per message.
"""

import types
from collections.abc import Sequence
from typing import Any

import msgspec

from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages.base import Message
from jupyter_dist.protocol.framing import Buffer

MessageType = types.UnionType | type[Message]


class Codec:
    """What one side of a link says and understands. It has no state: connections share it.

    Parameters
    ----------
    sends : type or union of types
        The messages this side sends.
    receives : type or union of types
        The messages this side accepts.
    """

    __slots__ = ("_decode", "_encode", "receives", "sends")

    def __init__(self, sends: MessageType, receives: MessageType) -> None:
        self.sends = sends
        self.receives = receives
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(types.GenericAlias(list, (receives,))).decode

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Return the control bytes of a frame.

        Text that is not valid Unicode (a lone surrogate, as in the name of a file that is not UTF-8) is sent with
        backslash escapes: what a task printed must not cost its worker the connection.

        Raises
        ------
        ProtocolError
            A message holds a value that has no form on the wire; the text names the message.
        """
        try:
            return self._encode(messages)
        except UnicodeEncodeError:
            return self.encode([_escape(message) for message in messages])
        except Exception as error:
            raise ProtocolError(f"{self._first_bad(messages)} cannot be sent: {error}") from error

    def decode(self, control: Buffer) -> list[Message]:
        """Return the messages of a frame, at least one.

        Raises
        ------
        ProtocolError
            The bytes are no list of messages this link accepts.
        """
        try:
            messages: list[Message] = self._decode(control)
        except (ValueError, RecursionError, MemoryError) as error:  # msgspec's errors are ValueErrors
            raise ProtocolError(f"a peer sent what is no message of this link: {error}") from error
        if not messages:
            raise ProtocolError("a peer sent a frame without a message")
        return messages

    def _first_bad(self, messages: Sequence[Message]) -> str:
        for message in messages:
            try:
                self._encode(message)
            except Exception:  # noqa: BLE001 - whatever it is, this is the message with the fault
                return type(message).__name__
        return "a list of messages"


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, tuple | list):
        return type(value)(_escape(item) for item in value)
    if isinstance(value, dict):
        return {_escape(key): _escape(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        fields = {name: _escape(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return value
