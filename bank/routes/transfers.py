"""Transfers, under the three spellings that clients use."""

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from bank.operations import Transfer
from bank.routes.addresses import find_node
from bank.routes.answers import bank, json_answer, money, movement_fields, operation_id, settle
from bank.routes.models import AccountPath, TransferRequest
from bank.routes.problems import Problem

__all__ = ["transfers"]

transfers = APIBlueprint("transferencias", __name__, abp_tags=[{"name": "transferências"}])


@transfers.post("/transferencia/<id_conta>", summary="Transfere / Transfers")
@transfers.post("/transferencia<id_conta>", operation_id="transferencia_colada", summary="O mesmo / The same")
@transfers.post("/contas/<id_conta>/transferencia", operation_id="contas_transferencia", summary="O mesmo / The same")
def transfer(path: AccountPath, body: TransferRequest) -> Response:
    """Both legs move or none. Every account is at every node, so `servidor` need not be said."""
    key = operation_id()
    if body.servidor is not None and find_node(body.servidor, bank().nodes()) is None:
        raise Problem("SERVIDOR_DESCONHECIDO", f"{body.servidor[:80]} não é um nó deste livro.")
    outcome, entry, headers = settle(Transfer(key, path.id_conta, body.conta_destino, body.valor))
    fields = {
        "id_conta": path.id_conta,
        "conta_destino": body.conta_destino,
        "saldo": money(outcome.balance_cents),
    }
    return json_answer(movement_fields(entry, "Transferência realizada.") | fields, 200, headers)
