"""Presence over RabbitMQ: heartbeats through a fanout exchange of their own, into a queue of each node's own.

Heartbeats are neither kept nor confirmed: the next one comes in half a second. Knows pika through `Brokers` only.
"""

from typing import Any

import msgspec

from replication.presence import Heartbeat
from replication.rabbitmq import Brokers, broker_errors, close

__all__ = ["RabbitPresence"]


class RabbitPresence:
    """Heartbeats through a fanout exchange into a queue of each node's own."""

    spans_machines = True

    def __init__(self, brokers: Brokers, *, exchange: str) -> None:
        """Connect to nothing yet."""
        self._brokers = brokers
        self._exchange = exchange
        self._connection: Any = None
        self._channel: Any = None
        self._latest: dict[str, Heartbeat] = {}
        self._session = ""

    def exchange(self, mine: Heartbeat) -> list[Heartbeat]:
        """Tell the others of this node; return the latest heartbeat of each other session that has not left."""
        self._session = mine.session
        self._send("pulso", msgspec.json.encode(mine))
        return list(self._latest.values())

    def leave(self) -> None:
        """Tell the others that this node stops."""
        if self._connection is not None:
            self._send("saida", self._session.encode())

    def _send(self, kind: str, body: bytes) -> None:
        try:
            if self._connection is None:
                self._open()
            with broker_errors():
                self._channel.basic_publish(self._exchange, kind, body)  # a fanout hands the routing key on
                self._channel.connection.process_data_events(0)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with self._brokers.connection() as connection:
            channel = self._brokers.declare(
                connection,
                lambda channel, passive: channel.exchange_declare(
                    self._exchange, "fanout", durable=True, passive=passive
                ),
            )
            # A node that stands still must not fill the broker: of old heartbeats only the newest matter.
            queue = channel.queue_declare("", exclusive=True, arguments={"x-max-length": 256}).method.queue
            channel.queue_bind(queue, self._exchange)
            channel.basic_consume(queue, self._receive, auto_ack=True)
            self._connection, self._channel = connection, channel

    def _receive(self, _channel: Any, delivery: Any, _properties: Any, body: bytes) -> None:
        if delivery.routing_key == "saida":
            self._latest.pop(body.decode(errors="replace"), None)
            return
        try:
            heartbeat = msgspec.json.decode(body, type=Heartbeat)
        except msgspec.DecodeError:  # another version's: it is not a peer that this one could judge
            return
        if heartbeat.session != self._session:
            # A node's new session replaces its old one.
            self._latest = {key: old for key, old in self._latest.items() if old.node != heartbeat.node}
            self._latest[heartbeat.session] = heartbeat

    def close(self) -> None:
        """Release the transport; the next exchange opens another."""
        connection, self._connection, self._channel = self._connection, None, None
        close(connection)
