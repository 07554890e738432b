"""One connection as bytes and events: the handshake first, then frames of messages.

`Connection` has no socket. Its owner writes what it reads into `get_buffer`, tells how much to `received`, hands on
what that yields, and sends `outgoing`, also when `received` raised: the other side is told why it is refused. After a
`ProtocolError` a connection is of no use.
"""

from collections.abc import Iterator, Mapping, Sequence

from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages.base import Message
from jupyter_dist.protocol.auth import ClientHandshake, Handshake, ServerHandshake
from jupyter_dist.protocol.codec import Codec
from jupyter_dist.protocol.framing import Buffer, FrameReader, frame_chunks
from jupyter_dist.settings import Settings

Delivery = tuple[list[Message], list[memoryview]]


class Connection:
    """The protocol of one connection, of either side. Use `to_server` or `to_client` to make one.

    Attributes
    ----------
    role : str
        The role the connecting side proved; empty before.
    is_authenticated : bool
        Whether the handshake is over and messages may be sent and received.
    """

    __slots__ = ("_codec", "_codecs", "_handshake", "_reader", "_settings", "is_authenticated", "role")

    def __init__(self, handshake: Handshake, codecs: Mapping[str, Codec], settings: Settings) -> None:
        self.role = ""
        self.is_authenticated = False
        self._handshake = handshake
        self._codecs = codecs
        self._codec: Codec | None = None
        self._settings = settings
        self._reader: FrameReader | None = None  # made late: a stranger costs no more than the handshake's bytes

    @classmethod
    def to_server(
        cls, role: str, cluster: str, secret: bytes, nonce: bytes, codec: Codec, settings: Settings
    ) -> "Connection":
        """Return the connecting side. `outgoing` has its first bytes at once."""
        return cls(ClientHandshake(role, cluster, secret, nonce), {role: codec}, settings)

    @classmethod
    def to_client(
        cls, cluster: str, secret: bytes, nonce: bytes, codecs: Mapping[str, Codec], settings: Settings
    ) -> "Connection":
        """Return the serving side, with a codec for each role it accepts."""
        return cls(ServerHandshake(codecs.keys(), cluster, secret, nonce), codecs, settings)

    def get_buffer(self) -> memoryview:
        """Return where the next bytes shall be written, never empty."""
        return self._handshake.get_buffer() if self._reader is None else self._reader.get_buffer()

    def received(self, count: int) -> Iterator[Delivery]:
        """Take note of bytes written to the last buffer; yield the messages and buffers of each completed frame.

        Raises
        ------
        ProtocolError
            The peer broke a rule; `AuthenticationError` and `VersionMismatchError` during the handshake.
        """
        if self._reader is None:
            self._on_handshake(count)
            return
        for control, buffers in self._reader.received(count):
            messages = self._known_codec().decode(control)
            if buffers and len(messages) != 1:
                raise ProtocolError("a peer sent a frame with buffers that has not exactly one message")
            yield messages, buffers

    def feed(self, data: Buffer) -> Iterator[Delivery]:
        """Yield what `received` would for these bytes, however many: for tests and transports without buffers."""
        view = memoryview(data)
        while view:
            buffer = self.get_buffer()
            count = min(len(buffer), len(view))
            buffer[:count] = view[:count]
            view = view[count:]
            yield from self.received(count)

    def outgoing(self) -> bytes:
        """Return the handshake's bytes that are to be sent now, also after an error."""
        return self._handshake.outgoing()

    def encode(self, messages: Sequence[Message]) -> list[Buffer]:
        """Return the pieces of as few frames as hold these messages.

        Raises
        ------
        ProtocolError
            One message is larger than a frame may be, or has no form on the wire.
        """
        control = self._known_codec().encode(messages)
        if len(control) > self._settings.frame_bytes_max and len(messages) > 1:
            middle = len(messages) // 2
            return self.encode(messages[:middle]) + self.encode(messages[middle:])
        return self._frame(control, ())

    def encode_with_buffers(self, message: Message, buffers: Sequence[Buffer]) -> list[Buffer]:
        """Return the pieces of one frame of one message and its buffers, which are not copied.

        Raises
        ------
        ProtocolError
            The buffers or the message are over a limit.
        """
        return self._frame(self._known_codec().encode((message,)), buffers)

    def _frame(self, control: bytes, buffers: Sequence[Buffer]) -> list[Buffer]:
        settings = self._settings
        return frame_chunks(
            control,
            buffers,
            frame_bytes_max=settings.frame_bytes_max,
            object_bytes_max=settings.object_bytes_max,
        )

    def _known_codec(self) -> Codec:
        if self._codec is None:
            raise ProtocolError("messages cannot be exchanged before the handshake is over")
        return self._codec

    def _on_handshake(self, count: int) -> None:
        self._handshake.received(count)
        if self._handshake.is_done:
            self.role = self._handshake.role
            self._codec = self._codecs[self.role]
            self._reader = FrameReader(self._settings.frame_bytes_max, self._settings.object_bytes_max)
            self.is_authenticated = True
