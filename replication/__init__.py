"""Replication: one order of records for all nodes.

`log` is the contract; `embedded` and `memory` keep it (RabbitMQ comes with the same contract tests).
`presence` knows which nodes live.
"""
