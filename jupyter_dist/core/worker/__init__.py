"""A worker's mind: what it fetches, what it may begin, what it holds.

`machine` takes events and hands them to the modules named after their duty: `fetching` (inputs that are elsewhere),
`running` (attempts in the slots, their results). `state` holds the tables and is the only place that changes them;
`attempt` has the table of an attempt's life; `events` and `effects` are what goes in and what comes out; `invariants`
checks that the tables agree. No user's value is looked into here: values pass through as opaque objects.
"""
