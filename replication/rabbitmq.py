"""The log over RabbitMQ: a durable fanout exchange bound to one durable stream. The only file that imports pika.

Same contract as every log (`replication/log.py`). A confirm, a nack, a
return and a lost connection mean the same here: unknown yet. After any of them the connection is given up, for
before RabbitMQ 4.0.1 a channel that went through trouble can confirm what is then lost (rabbitmq-server PR 12236);
for the same reason the publishing channel publishes to this one exchange and to nothing else.
A stream that was deleted is declared anew, empty: that its records are gone is found out when a node attaches.
A user who may declare nothing finds exchange and stream as their operator made them (deploy/rabbitmq/definitions.sh).
Invariant: offsets are the stream's, plus one, for 0 is what a node knows that has applied nothing.
"""

import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError

from bank.errors import LogUnreachable, StartRefused
from replication.log import FIRST, LAST, Replicas, Stored

__all__ = ["Brokers", "RabbitLog", "Tls", "broker_errors", "close"]

HEARTBEAT_S = 5
"""pika hung 20 s on a paused broker with its defaults, and 45 s through a disk alarm."""
PREFETCH_RECORDS = 64
BATCH_BYTES_MAX = 4 * 1024 * 1024
BROKER_ERRORS = (AMQPError, AMQPConnectorException, OSError)
"""A broker that accepts a connection and then says nothing is none of pika's AMQPErrors."""
ACCESS_REFUSED = 403

logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it has to say is raised, and told by us


class Tls(NamedTuple):
    """Files for `amqps://`: who signed the brokers' certificates, and this node's own certificate and key."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


class Brokers:
    """The brokers of one cluster; any of them will do."""

    def __init__(self, urls: Sequence[str], tls: Tls = Tls(), *, node: str = "") -> None:  # noqa: B008 - immutable
        """Connect to nothing yet. Raises StartRefused for a URL or a certificate that cannot be used."""
        self.node = node
        try:
            for path in filter(None, tls):
                Path(path).open("rb").close()  # what ssl raises names no file
            self._parameters = [_parameters(url, tls, node) for url in urls]
        except (ValueError, OSError) as error:
            raise StartRefused(f"AMQP_URL or its certificates cannot be used: {error}.") from error
        self._may_declare = True

    @contextmanager
    def connection(self) -> Iterator[pika.BlockingConnection]:
        """Open a connection to the first broker that answers, closed again if the body raises.

        Raises LogUnreachable, also for what the body meets; StartRefused if exchange or stream is of another kind.
        """
        connection = self._connect()
        try:
            with broker_errors():
                yield connection
        except BaseException:
            close(connection)
            self._turn()
            raise

    def _connect(self) -> pika.BlockingConnection:
        reasons = []
        for _ in self._parameters:
            try:
                return pika.BlockingConnection(self._parameters[0])
            except BROKER_ERRORS as error:
                reasons.append(f"{self._parameters[0].host}:{self._parameters[0].port}: {error!r}")
                self._turn()
        raise LogUnreachable(f"no broker answers ({'; '.join(reasons)})")

    def declare(self, connection: pika.BlockingConnection, on: Callable[[Any, bool], None]) -> Any:
        """Call `on(channel, passive)` and return that channel. Passive declares make nothing and need no permission.

        Tried in earnest first, for it notices what is of another kind; only once, if the user may not.
        """
        if self._may_declare:
            channel = connection.channel()
            try:
                on(channel, False)  # noqa: FBT003 - positional as AMQP's own
            except ChannelClosedByBroker as error:
                if error.reply_code != ACCESS_REFUSED:
                    raise
                self._may_declare = False
            else:
                return channel
        channel = connection.channel()
        on(channel, True)  # noqa: FBT003
        return channel

    def each(self) -> Iterator[pika.BlockingConnection | None]:
        """Yield a connection to each broker in turn, None for one that does not answer; close it afterwards."""
        for parameters in tuple(self._parameters):
            connection = None
            with suppress(*BROKER_ERRORS):
                connection = pika.BlockingConnection(parameters)
            yield connection
            close(connection)

    def _turn(self) -> None:
        """Begin with the next broker from now on: one may answer and yet have no replica of the stream."""
        self._parameters = self._parameters[1:] + self._parameters[:1]


def _parameters(url: str, tls: Tls, node: str) -> pika.URLParameters:
    parameters = pika.URLParameters(url)
    parameters.heartbeat = HEARTBEAT_S
    parameters.blocked_connection_timeout = HEARTBEAT_S
    parameters.socket_timeout = HEARTBEAT_S
    parameters.stack_timeout = HEARTBEAT_S
    parameters.connection_attempts = 1  # trying again is the caller's, with its back-off
    parameters.client_properties = {"connection_name": node}
    if url.startswith("amqps:"):
        context = ssl.create_default_context(cafile=tls.ca or None)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None)
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    return parameters


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn what pika raises into what a log raises."""
    try:
        yield
    except ChannelClosedByBroker as error:
        # 406 says too that a broker has no replica of the stream, which passes once a new leader is chosen.
        if error.reply_code == 406 and "inequivalent" in error.reply_text:
            raise StartRefused(
                f"The broker refuses: {error.reply_text}. Choose another exchange and stream."
            ) from error
        raise LogUnreachable(f"the broker closed the channel: {error!r}") from error
    except UnroutableError as error:
        raise LogUnreachable("a record was unroutable: nothing is bound to the exchange; it is bound anew") from error
    except BROKER_ERRORS as error:
        raise LogUnreachable(f"the broker: {error!r}") from error


def close(connection: pika.BlockingConnection | None) -> None:
    """Close quietly: who gives a connection up does not want to hear what else is wrong with it."""
    if connection is not None and connection.is_open:
        with suppress(*BROKER_ERRORS):
            connection.close()


class RabbitLog:
    """One stream behind one fanout exchange."""

    kind = "rabbitmq"

    def __init__(self, brokers: Brokers, *, exchange: str, stream: str) -> None:
        """Connect to nothing yet."""
        self._brokers = brokers
        self._exchange = exchange
        self._stream = stream
        self.identity = f"rabbitmq:{exchange}/{stream}"
        self._properties = pika.BasicProperties("application/json", delivery_mode=2, app_id=brokers.node or None)
        self._connection: pika.BlockingConnection | None = None
        self._channel: Any = None

    def append(self, body: bytes) -> None:
        """Store one record. Raises LogUnreachable, which leaves open whether it was stored."""
        try:
            if self._connection is None:
                self._open()
            with broker_errors():
                # Mandatory: a record that no stream takes is confirmed otherwise.
                self._channel.basic_publish(self._exchange, "", body, self._properties, mandatory=True)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with self._brokers.connection() as connection:
            self._declare(connection)
            channel = connection.channel()
            channel.confirm_delivery()  # before the first publish
            self._connection, self._channel = connection, channel

    def _declare(self, connection: pika.BlockingConnection) -> None:
        def on(channel: Any, passive: bool) -> None:  # noqa: FBT001
            channel.exchange_declare(self._exchange, "fanout", durable=True, passive=passive)
            channel.queue_declare(self._stream, durable=True, passive=passive, arguments={"x-queue-type": "stream"})
            if not passive:
                channel.queue_bind(self._stream, self._exchange)

        self._brokers.declare(connection, on).close()

    def tend(self) -> None:
        """Answer the broker's heartbeats. Raises LogUnreachable if the connection died meanwhile.

        Not mended in silence: the log that the next connection reaches may have lost its end.
        """
        if self._connection is not None:
            try:
                with broker_errors():
                    self._connection.process_data_events(0)
            except BaseException:
                self.close()
                raise

    def read_from(self, offset: int) -> "RabbitReader":
        """Return a reader, on a connection of its own, that begins at `offset`, FIRST or LAST."""
        where = {FIRST: "first", LAST: "last"}.get(offset, offset - 1)
        with self._brokers.connection() as connection:
            self._declare(connection)
            return RabbitReader(connection, self._stream, where)

    def renew(self) -> None:
        """Nothing to do: names are all that is known of the log."""

    def replicas(self) -> Replicas:
        """Ask each broker to read the stream: one without a replica of its own refuses, and AMQP tells no other way."""
        answers = [self._is_read_at(connection) for connection in self._brokers.each()]
        return Replicas(held=sum(answers), brokers=len(answers))

    def _is_read_at(self, connection: pika.BlockingConnection | None) -> bool:
        try:
            if connection is not None:
                RabbitReader(connection, self._stream, "next")
                return True
        except BROKER_ERRORS:
            return False
        return False

    def close(self) -> None:
        """Give the publishing connection up; the next append opens another."""
        connection, self._connection, self._channel = self._connection, None, None
        close(connection)


class RabbitReader:
    """Reads the stream in order; belongs to one thread."""

    def __init__(self, connection: pika.BlockingConnection, stream: str, where: int | str) -> None:
        """Consume from `where`."""
        self._connection = connection
        self._waiting: deque[tuple[int, Stored]] = deque()
        self._cancelled = False
        self._channel = connection.channel()
        self._channel.add_on_cancel_callback(self._cancel)
        self._channel.basic_qos(prefetch_count=PREFETCH_RECORDS)
        self._channel.basic_consume(stream, self._receive, arguments={"x-stream-offset": where})

    def _receive(self, _channel: Any, delivery: Any, properties: Any, body: bytes) -> None:
        offset = int(properties.headers["x-stream-offset"])
        self._waiting.append((delivery.delivery_tag, Stored(offset + 1, body)))

    def _cancel(self, _frame: Any) -> None:
        self._cancelled = True  # the stream was deleted, or its leader went away

    def poll(self, timeout_s: float) -> list[Stored]:
        """Return the next records, oldest first; empty if none came in time."""
        deadline = time.monotonic() + timeout_s
        with broker_errors():
            self._connection.process_data_events(0)
            while not self._waiting and not self._cancelled and (remaining := deadline - time.monotonic()) > 0:
                self._connection.process_data_events(remaining)
            if self._cancelled and not self._waiting:
                raise LogUnreachable("the broker ended the reading of the stream")
            return self._take()

    def _take(self) -> list[Stored]:
        batch: list[Stored] = []
        size, tag = 0, 0
        while self._waiting and size < BATCH_BYTES_MAX:
            tag, stored = self._waiting.popleft()
            size += len(stored.body)
            batch.append(stored)
        if batch:
            self._channel.basic_ack(tag, multiple=True)
        return batch

    def close(self) -> None:
        """Close the connection, and not only the channel: pika would nack what was delivered, which streams forbid."""
        close(self._connection)
