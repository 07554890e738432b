"""The seeded simulator: real cores in a made-up world, and oracles that know every right answer.

One scheduler (the real machine), workers (the real machine in simulated slots), clients (the real table of futures)
and model nannies live in virtual time, joined by a network that delays and breaks. One seed decides everything, also
which faults this world has; the same seed gives the same trace. After every event the machine it touched is checked,
and the oracles look at what was said.

`clock` and `network` are the world's physics; `plans` says what each task does; `*_host` are the drivers of the cores;
`script` is what users do, `faults` what goes wrong; `oracles` judge; `simulate` runs one seed to its end.
"""
