"""The bank: an account ledger that is the same at every node.

Reading order: `operations` (what may be asked), `ledger` (what then happens), `records` (how it travels),
`node` (what waits and what is answered), `replica` (what a delivered record does), `journal` (what is kept),
`runtime` (the threads), `routes` (HTTP). `DESIGN.md` beside this file lists the invariants.
"""
