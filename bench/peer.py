"""The comparison: a small bank of Flask and PostgreSQL on waitress, or the same routes empty: `python -m bench.peer`.

One transaction an operation: the idempotency key and the ledger row are one insert, then the account's row moves.
Arguments: port, number of accounts, and how to reach PostgreSQL; nothing there makes every route an empty one.
"""

import logging
import sys
import uuid
from decimal import Decimal

import psycopg
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from psycopg_pool import ConnectionPool
from waitress import serve

THREADS = 32  # as many as a node has
SCHEMA = """
create table account (id text primary key, balance_cents bigint not null check (balance_cents >= 0));
create table ledger (number bigint generated always as identity primary key, id text not null unique,
                     debited text, credited text, amount_cents bigint not null);
insert into account select 'conta-' || number, 0 from generate_series(0, %s - 1) as number;
"""
INSERT = "insert into ledger (id, debited, credited, amount_cents) values (%s, %s, %s, %s) on conflict (id) do nothing"
MOVE = "update account set balance_cents = balance_cents + %s where id = %s returning balance_cents"
READ = "select balance_cents from account where id = %s"


class Refused(Exception):  # noqa: N818 - a refusal is no error of the application
    """The account is not there."""


def bank(pool: ConnectionPool) -> Flask:
    """Return the application: deposit, withdrawal, transfer, read."""
    app = Flask(__name__)

    def move(debited: str | None, credited: str | None) -> ResponseReturnValue:
        amount_cents = int(Decimal(str(request.json["valor"])) * 100)
        key = request.headers.get("Idempotency-Key") or str(uuid.uuid4())
        changes = {account: cents for account, cents in ((debited, -amount_cents), (credited, amount_cents)) if account}
        with pool.connection() as connection:
            is_new = connection.execute(INSERT, (key, debited, credited, amount_cents)).rowcount == 1
            balances = {}
            for account in sorted(changes):  # one order of row locks for all, so that two transfers never deadlock
                row = connection.execute(*((MOVE, (changes[account], account)) if is_new else (READ, (account,))))
                if (found := row.fetchone()) is None:
                    raise Refused(account)
                balances[account] = found[0]
        return jsonify(sucesso=True, id_operacao=key, saldo=balances[debited or credited] / 100)

    @app.post("/contas/<account>/deposito")
    def deposit(account: str) -> ResponseReturnValue:
        return move(None, account)

    @app.post("/contas/<account>/saque")
    def withdraw(account: str) -> ResponseReturnValue:
        return move(account, None)

    @app.post("/contas/<account>/transferencia")
    def transfer(account: str) -> ResponseReturnValue:
        return move(account, request.json["conta_destino"])

    @app.get("/contas/<account>")
    def read(account: str) -> ResponseReturnValue:
        with pool.connection() as connection:
            found = connection.execute(READ, (account,)).fetchone()
        if found is None:
            raise Refused(account)
        return jsonify(id_conta=account, saldo=found[0] / 100)

    @app.errorhandler(Refused)
    @app.errorhandler(psycopg.errors.CheckViolation)
    def refused(_: Exception) -> ResponseReturnValue:
        return jsonify(sucesso=False), 409

    return app


def empty() -> Flask:
    """Return an application whose routes parse the request and do nothing."""
    app = Flask(__name__)

    @app.route("/<path:_>", methods=["GET", "POST"])
    def nothing(_: str) -> ResponseReturnValue:
        request.get_json(silent=True)
        return jsonify(sucesso=True)

    return app


def main() -> None:
    """Make the tables and serve until the end."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # as at a node
    port, accounts, conninfo = sys.argv[1:]
    if not conninfo:
        serve(empty(), host="127.0.0.1", port=int(port), threads=THREADS, ident=None)
        return
    with ConnectionPool(conninfo, min_size=THREADS, max_size=THREADS, timeout=30) as pool:
        with pool.connection() as connection:
            for statement in filter(str.strip, (SCHEMA % int(accounts)).split(";")):
                connection.execute(statement)
        serve(bank(pool), host="127.0.0.1", port=int(port), threads=THREADS, ident=None)


if __name__ == "__main__":
    main()
