"""The scheduler's mind: which task runs where, what is kept, what is made again.

`machine` takes events and hands them to the modules named after them: `submission` (clients), `completion` (workers'
answers), `membership` (who is there), `recovery` (what a death costs), `moving` (copies of results) and `retiring`
(workers that leave in order). All of them change `state`, the only place with
tables, and leave what should run in its queue; `dispatch` then hands it out, where `placement` says. `observing` tells
watchers; `invariants` checks that the tables agree.
"""
