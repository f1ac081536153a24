"""The naive version of this design, for comparison: `python -m bench.naive PORT AMQP_URL EXCHANGE ACCOUNTS`.

Flask's development server; each request opens an AMQP connection, publishes its deposit to a fanout exchange and
waits until the node's own queue brought it back; each node applies what its queue brings to a dict. It keeps nothing
on a disk, remembers no id, and two nodes may apply in different orders: it is the price of the bank's design that is
measured here, not a bank.
"""

import json
import logging
import sys
import threading
import uuid
from contextlib import closing
from typing import Any

import pika
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

WAIT_S = 30.0


class Node:
    """Balances in a dict, moved by what the queue brings."""

    def __init__(self, url: str, exchange: str, accounts: int) -> None:
        """Bind a queue of this node's own to the exchange."""
        self._parameters = pika.URLParameters(url)
        self._exchange = exchange
        self._mutex = threading.Lock()
        self._waiting: dict[str, threading.Event] = {}
        self.balances = {f"conta-{number}": 0 for number in range(accounts)}
        self._channel = pika.BlockingConnection(self._parameters).channel()
        self._channel.exchange_declare(exchange, "fanout")
        queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(queue, exchange)
        self._channel.basic_consume(queue, self._apply, auto_ack=True)

    def follow(self) -> None:
        """Apply for ever."""
        self._channel.start_consuming()

    def _apply(self, _channel: object, _method: object, _properties: object, body: bytes) -> None:
        operation: dict[str, Any] = json.loads(body)
        with self._mutex:
            self.balances[operation["conta"]] += operation["valor"]
            waiter = self._waiting.pop(operation["id"], None)
        if waiter is not None:
            waiter.set()

    def deposit(self, account: str, amount_cents: int) -> int:
        """Publish on a connection of its own, wait until it came back, and return the balance."""
        operation_id, done = str(uuid.uuid4()), threading.Event()
        with self._mutex:
            self._waiting[operation_id] = done
        body = json.dumps({"id": operation_id, "op": "deposito", "conta": account, "valor": amount_cents})
        with closing(pika.BlockingConnection(self._parameters)) as connection:
            connection.channel().basic_publish(self._exchange, "", body.encode())
        assert done.wait(WAIT_S), "the queue did not bring it"
        with self._mutex:
            return self.balances[account]


def application(node: Node) -> Flask:
    """Return the two routes that are measured."""
    app = Flask(__name__)

    @app.post("/contas/<account>/deposito")
    def deposit(account: str) -> ResponseReturnValue:
        return jsonify(sucesso=True, saldo=node.deposit(account, int(request.json["valor"] * 100)) / 100)

    @app.get("/contas/<account>")
    def read(account: str) -> ResponseReturnValue:
        return jsonify(id_conta=account, saldo=node.balances[account] / 100)

    return app


def main() -> None:
    """Serve until the end."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port, url, exchange, accounts = sys.argv[1:]
    node = Node(url, exchange, int(accounts))
    threading.Thread(target=node.follow, daemon=True).start()
    application(node).run("127.0.0.1", int(port))


if __name__ == "__main__":
    main()
