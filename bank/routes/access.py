"""Who may do what: one table of all routes, asked before any of them. What it does not name is refused.

With TOKENS_FILE every request shows a bearer token; a browser shows it as the password of HTTP Basic, which counts
where no other site can misuse it: for reading, and at the panel's forms, which look at where they come from. A refusal
is the same for an account that exists and for one that does not. Without TOKENS_FILE everybody may do everything.
Invariant: each route, role and state of a token has its answer (tests/integration/test_access.py).
"""

from collections.abc import Sequence
from typing import cast

from flask import Flask, current_app, g, request
from msgspec.structs import replace

from bank.operations import Batch, CustomerOperation, Operation, Origin, accounts_of, scope_of, scoped
from bank.routes.pace import Pace
from bank.routes.problems import Problem
from bank.tokens.principals import Principal, Role
from bank.tokens.store import Registry

__all__ = ["ALLOWED", "NOT_ASKED", "check_disposal", "known_as", "may_see", "may_see_who", "register", "signed"]

_READ_OWN = frozenset(Role)
"""A customer too: of its own accounts, which the path names."""
_MOVE_OWN = frozenset({Role.CUSTOMER, Role.TELLER, Role.ADMIN})
_READ = frozenset({Role.TELLER, Role.AUDITOR, Role.ADMIN})
_MOVE = frozenset({Role.TELLER, Role.ADMIN})
_AUDIT = frozenset({Role.AUDITOR, Role.ADMIN})

ALLOWED = {
    "contas.deposit": _MOVE_OWN,
    "contas.list_accounts": _READ,
    "contas.open_account": _MOVE,
    "contas.show_account": _READ_OWN,
    "contas.statement": _READ_OWN,
    "contas.withdraw": _MOVE_OWN,
    "eventos.stream_events": _READ,
    "lotes.apply_batch": _MOVE,
    "outros_servidores.balance_elsewhere": _READ_OWN,
    "outros_servidores.operation_elsewhere": _MOVE_OWN,  # the body names the account: see check_disposal
    "painel.auditoria.show_audit": _AUDIT,
    "painel.contas.deposit": _MOVE_OWN,
    "painel.contas.list_accounts": _READ,
    "painel.contas.open_account": _MOVE,
    "painel.contas.show_account": _READ_OWN,
    "painel.contas.transfer": _MOVE_OWN,
    "painel.contas.withdraw": _MOVE_OWN,
    "painel.rede.show_live": _READ,
    "painel.rede.show_network": _READ,
    "painel.rede.show_pulse": _READ,
    "rede.show_books": _AUDIT,
    "rede.show_cluster": _READ,
    "rede.show_metrics": _AUDIT,
    "rede.show_operation": _READ_OWN,  # what it may see of it, the route says
    "transferencias.transfer": _MOVE_OWN,
}
"""The roles that may ask for each endpoint."""
NOT_ASKED = frozenset({
    "escritorio.activate_version", "escritorio.give_accounts", "escritorio.give_copy", "escritorio.rejoin",
    "escritorio.reopen_log", "escritorio.retire_member", "escritorio.show_digests",  # these ask for CLUSTER_KEY
    "openapi", "paginas.docs", "paginas.list_problems", "paginas.show_problem", "painel.static", "static",
    "swagger.oauth2-redirect", "swagger.static", "swagger.swagger",  # the same at every bank
    "rede.show_alive", "rede.show_health", "rede.show_ready",  # for whatever restarts nodes
})  # fmt: skip


def register(app: Flask, registry: Registry | None, pace: Pace) -> None:
    """Ask before every route, if there is a registry of tokens; then see that nobody asks too often."""
    app.extensions["banco_tokens"], app.extensions["banco_passo"] = registry, pace
    if registry is not None:
        app.before_request(_ask)
    pace.register(app, asked=frozenset(ALLOWED))


def _ask() -> None:
    endpoint = request.endpoint
    if endpoint is None or endpoint in NOT_ASKED:
        return
    principal = _principal()
    if principal is None:
        if request.authorization is not None:
            cast("Pace", current_app.extensions["banco_passo"]).count_wrong_token()
        raise Problem("NAO_AUTENTICADO", "Falta um token válido, no cabeçalho Authorization.", headers=_challenge())
    account_id = (request.view_args or {}).get("id_conta")
    if principal.role not in ALLOWED.get(endpoint, ()) or (account_id and not principal.owns(account_id)):
        raise Problem("NAO_AUTORIZADO", "Este token não permite o pedido.")
    g.principal = principal


def _principal() -> Principal | None:
    """Return whom the request's token stands for, if it shows one."""
    shown = request.authorization
    if shown is None:
        return None
    text = shown.token if shown.type == "bearer" else None
    if shown.type == "basic" and (request.method in {"GET", "HEAD"} or _is_panel()):
        text = shown.password
    return cast("Registry", current_app.extensions["banco_tokens"]).principal(text or "")


def _is_panel() -> bool:
    return "painel" in request.blueprints


def _challenge() -> dict[str, str]:
    """Return what makes a browser ask for the token, and tells others how to show it."""
    return {"WWW-Authenticate": 'Basic realm="banco", charset="UTF-8"' if _is_panel() else 'Bearer realm="banco"'}


def check_disposal(account_id: str) -> None:
    """Refuse a customer who would move another's money, where the path does not name the account. Raises Problem."""
    principal = _who()
    if principal is not None and not principal.owns(account_id):
        raise Problem("NAO_AUTORIZADO", "Este token não permite o pedido.")


def may_see(operation: Operation) -> bool:
    """Tell whether this request may see an operation: a customer, what it asked for, or what is all its own."""
    principal = _who()
    return principal is None or scope_of(operation.id)[0] == principal.name or principal.owns(*accounts_of(operation))


def may_see_who() -> bool:
    """Tell whether this request may see who asked for what."""
    principal = _who()
    return principal is not None and principal.role in _AUDIT


def known_as(key: str) -> str:
    """Return the id under which the bank remembers what this request's principal asked for with this key."""
    principal = _who()
    return key if principal is None else scoped(principal.name, key)


def signed(operations: Sequence[Operation]) -> Sequence[Operation]:
    """Return the operations as asked for by this request's principal, if the bank knows its principals."""
    if _who() is None:
        return operations
    origin = Origin(g.request_id, request.remote_addr or "")
    return [
        replace(operation, id=known_as(operation.id), origin=origin)
        if isinstance(operation, CustomerOperation | Batch)
        else operation
        for operation in operations
    ]


def _who() -> Principal | None:
    return cast("Principal | None", g.get("principal"))
