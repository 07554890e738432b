"""The wire without a wire: frames, messages, handshake and payloads, sans-I/O.

What lives here turns bytes into events and messages into bytes. Nothing here opens a socket, reads a clock, makes a
random number, starts a thread or logs: nonces and limits are arguments, and whoever owns the transport moves the bytes.
Whatever a peer may send, the only error that comes out of reading it is a `ProtocolError`.

* `framing`: where a message's bytes end, and large buffers read straight to where they stay.
* `codec`: messages of one link in MessagePack, strictly.
* `auth`: the mutual handshake that comes before any other byte.
* `connection`: these three in the order of a real connection.
* `payload`: a user's values as pickle streams and raw buffers. Only clients and workers may import it.

It may import `core`, `messages`, `settings`, `ids`, `errors`, and `msgspec`; `by_value` alone imports `cloudpickle`.
"""
