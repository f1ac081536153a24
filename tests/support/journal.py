"""What somebody does to a journal by hand: valid SQLite, and no bank's doing."""

import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["ADD_CENTS", "alter_balance"]

ADD_CENTS = """UPDATE balances SET balance_cents = balance_cents + ?
    WHERE ordinal = (SELECT ordinal FROM openings WHERE account_id = ?)"""


def alter_balance(folder: Path, account_id: str, cents: int) -> None:
    """Add so much to a balance in a node's journal, and to nothing else."""
    with closing(sqlite3.connect(folder / "diario.sqlite", isolation_level=None)) as db:
        db.execute(ADD_CENTS, (cents, account_id))
