"""The cluster beside a model of it: whatever users do, and whoever dies, both say the same.

`model` says what may become of each future, in plain Python; `still_world` is the simulator's world without a will of its
own; `machine` has the rules by which hypothesis acts on both. The real cores and the real table of futures are driven, in
virtual time; `tests/integration/test_model.py` does the same, in small, with real processes.
"""
