"""Connections between processes, over asyncio: whoever needs a peer gets a `Channel` here, and nothing lower.

What lives here moves bytes and knows no more of them than `protocol` does. It decides nothing about tasks or members: a
connection that breaks is told to its receiver, with the reason, once. A peer that misbehaves is closed alone.

* `address`: what an address is: ``unix:/path``, ``tcp://host:port``, ``inproc:name``.
* `channel`: one authenticated connection, and the `Receiver` that hears it. `outbox` is its sending half.
* `wire`: the asyncio protocol below a channel, from the first byte of the handshake.
* `connect`, `serve`: how channels come to be. `inproc` is a transport without a kernel, for tests.
* `links`: which codec each side of each link uses. `pool`: one channel for each address.

Nothing here is thread-safe: a channel belongs to its loop's thread. It may import `protocol` (never its `payload`), and
the floors below; `storage` is on the same floor and neither knows the other.
"""
