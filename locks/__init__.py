"""Locks: who may look at an account's state, inside one node, one thread at a time.

`bakery` is Lamport's lock; `accounts` says which lock guards which account. Between nodes nothing is locked:
there the order of the log decides.
"""
