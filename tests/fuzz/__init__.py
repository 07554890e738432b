"""Hostile bytes: targets that take whatever a peer or a disk may give, and say what must not come of it.

`targets` says what is fuzzed and what may be raised; `feeds` makes streams of bytes into deeds. ``python -m tests.fuzz``
runs a target under atheris, which follows what its code does (`make fuzz`). In the normal run the kept inputs of
``corpus`` and seeded mutations of them (`mutations`) go through the same targets.
"""
