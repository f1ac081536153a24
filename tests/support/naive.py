"""A second opinion: the bank as a schoolbook would write it, replaying a log's bodies with nothing of ours.

Reads the embedded log's JSON as it stands and keeps integers in dictionaries. It shares no code with `bank/`.
"""

import json
import sqlite3
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["NaiveBank", "bodies_of", "entries_of"]

CEILING = 999_999_999_999_999
_CODES = {
    "account_not_found": "CONTA_NAO_ENCONTRADA",
    "account_exists": "CONTA_JA_EXISTE",
    "insufficient_funds": "SALDO_INSUFICIENTE",
    "same_account": "MESMA_CONTA",
    "above_limit": "VALOR_ACIMA_DO_LIMITE",
}


def bodies_of(log_path: Path) -> list[bytes]:
    """Return the bodies of an embedded log, in order."""
    db = sqlite3.connect(f"{log_path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        return [row[0] for row in db.execute("SELECT body FROM records ORDER BY offset")]
    finally:
        db.close()


def entries_of(journal_path: Path) -> list[dict[str, Any]]:
    """Return the operations that a journal remembers, as records spell them, each with its `recusa` if it has one."""
    db = sqlite3.connect(f"{journal_path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        rows = db.execute(
            "SELECT op, operation_id, account_id, counterpart_id, amount_cents, details, reason FROM entries "
            "WHERE account_id IS NOT NULL OR op = 'lote' ORDER BY number"
        ).fetchall()
    finally:
        db.close()
    entries = []
    for op, packed_id, account, counterpart, amount, details, reason in rows:
        operation_id = packed_id if isinstance(packed_id, str) else str(uuid.UUID(bytes=packed_id))
        entry = {"op": op, "id": operation_id, "conta": account, "valor": amount, "recusa": reason}
        entry |= {"destino": counterpart} if counterpart is not None else {}
        said = json.loads(details) if details else {}  # a list: who asked, and from where
        entries.append(entry | (said if isinstance(said, dict) else {"origem": said}))
    return entries


@dataclass
class NaiveBank:
    """Balances and limits in centavos, and what every id got: a balance, or the code of its refusal."""

    balances: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    results: dict[str, int | str] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    log_id: str = ""

    def replay(self, bodies: list[bytes]) -> "NaiveBank":
        """Apply every record of the log that the first genesis began."""
        for body in bodies:
            record = json.loads(body)
            operations = record["operacoes"]
            if not self.log_id and operations and operations[0]["op"] == "genesis":
                self.log_id = record["livro"]
            if record["livro"] != self.log_id:
                continue
            for operation in operations:
                if operation["id"] not in self.requests and not self._is_known_by_its_key(operation):
                    self.requests[operation["id"]] = operation
                    do = self._do_all if operation["op"] == "lote" else self._do
                    if (result := do(operation)) != "":
                        self.results[operation["id"]] = result
        return self

    def _is_known_by_its_key(self, operation: dict[str, Any]) -> bool:
        """Tell whether a principal repeats what was asked for when keys were everybody's."""
        first = self.requests.get(operation["id"].rpartition("\x1f")[2])
        return first is not None and all(
            first.get(name) == operation.get(name) for name in {*first, *operation} - {"id", "origem"}
        )

    def replay_entries(self, entries: list[dict[str, Any]]) -> "NaiveBank":
        """Do what a journal says was applied; believe what it says was refused, for a log that was lost cannot tell."""
        for entry in entries:
            refused = entry["recusa"]
            self.results[entry["id"]] = _CODES[refused] if refused else self._do(entry)
        return self

    def _do(self, operation: dict[str, Any]) -> int | str:
        kind, account, amount = operation["op"], operation.get("conta", ""), operation.get("valor", 0)
        if kind == "abertura":
            if account in self.balances:
                return "CONTA_JA_EXISTE"
            self.balances[account], self.limits[account] = operation["saldo"], operation["limite"]
            return operation["saldo"]
        if kind not in {"deposito", "saque", "transferencia"}:
            return 0
        target = operation.get("destino")
        if target == account:
            return "MESMA_CONTA"
        if account not in self.balances or (target is not None and target not in self.balances):
            return "CONTA_NAO_ENCONTRADA"
        if kind != "deposito" and self.balances[account] + self.limits[account] < amount:
            return "SALDO_INSUFICIENTE"
        gainer = account if kind == "deposito" else target
        if gainer is not None and self.balances[gainer] + amount > CEILING:
            return "VALOR_ACIMA_DO_LIMITE"
        if kind != "deposito":
            self.balances[account] -= amount
        if gainer is not None:
            self.balances[gainer] += amount
        return self.balances[account]

    def _do_all(self, batch: dict[str, Any]) -> int | str:
        """Do one part after the other; if one is refused, take out the old books again. Empty: never asked."""
        parts = {f"{batch['id']}/{number}": part for number, part in enumerate(batch["operacoes"])}
        if any(name in self.requests for name in parts):
            del self.requests[batch["id"]]
            return ""
        books = dict(self.balances), dict(self.limits)
        results = {name: self._do(part) for name, part in parts.items()}
        for result in results.values():
            if isinstance(result, str):
                self.balances, self.limits = books
                return result
        self.requests |= parts
        self.results |= results
        return 0
