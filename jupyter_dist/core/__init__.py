"""What is decided, and nothing that is done.

Pure state machines: an event goes in, effects come out. No input or output, no clock, no randomness, no threads, no
logging: time, chance and identity are arguments. May import `messages`, `settings`, `ids` and `errors`.

`scheduler` decides where tasks run and what becomes of lost results; `worker` decides what a worker fetches, runs and
holds; `supervisor` decides which processes live on a host, `succession` how often a nanny is followed; `futures` is a
client's table of what it asked for.
"""
