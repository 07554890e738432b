"""What clients share by name: leases (locks, semaphores), queues, and values (events, variables, published datasets).

One request of a client is one *turn*. It waits in a line, first come first served; when it is its turn it is answered
and stays on the books as long as it holds something: a lease, or values that are on their way to its client. So
whatever becomes of the client or of its message, nothing is lost: a lease goes to the next, values go back.

* `tables`: the records and the books; attached to `State`.
* `answers`: turns begin and are answered. `parcels`: values are kept, and with them the results they speak of.
* `leases`, `queues`, `values`: the rules of each.
* `departures`: turns that end by themselves: given up, their session gone, the cluster restarted.
* `returns`: clients that come back, to this scheduler or to the one that follows it.
* `rows`: the books as records of the journal, and back.
* `checks`: what must hold; part of `invariants`.

Values, and what they keep, belong to no session and outlive all of them. So do all books outlive the scheduler; a restart
of the cluster empties them.
"""
