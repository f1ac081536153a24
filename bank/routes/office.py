"""The back office: what peers and operators ask of a node. Behind CLUSTER_KEY, and not in the public document."""

import hmac

import uuid_utils
from flask import Response, request, send_file
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from bank.operations import NODE_NAME, Activate, Retire
from bank.routes.answers import bank, json_answer, movement_fields, settle
from bank.routes.models import AccountsQuery
from bank.routes.problems import Problem
from replication.snapshot import KEY_HEADER

__all__ = ["office"]

office = APIBlueprint("escritorio", __name__, url_prefix="/cluster", doc_ui=False)

GIVEN_MAX = 500
_NAME = NODE_NAME.replace(r"\Z", "$")


class _Reopening(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sem: list[str] = Field(default=[], max_length=100)


class _Retirement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    banco: str = Field(pattern=_NAME)


class _Activation(BaseModel):
    model_config = ConfigDict(extra="forbid")
    versao: int = Field(ge=1, le=2**31 - 1, strict=False)


class _PositionPath(BaseModel):
    posicao: int = Field(ge=1, le=2**63 - 1)


@office.before_request
def _ask_for_key() -> None:
    key = bank().config.cluster_key
    shown = request.headers.get(KEY_HEADER, "")
    if key and not hmac.compare_digest(shown.encode(), key.encode()):
        raise Problem("NAO_AUTENTICADO", f"Falta a chave da rede, no cabeçalho {KEY_HEADER}.")


@office.get("/copia")
def give_copy() -> Response:
    """A compressed copy of this node's journal, a few seconds old at most."""
    return send_file(bank().shelf.take(), mimetype="application/gzip", download_name="diario.sqlite.gz")


@office.get("/resumos/<int:posicao>")
def show_digests(path: _PositionPath) -> Response:
    """What this node holds at a position."""
    row = bank().history.record(path.posicao)
    if row is None:
        raise Problem("POSICAO_NAO_ALCANCADA", f"Este nó não tem a posição {path.posicao}.")
    digests = {"resumo_historico": row.chain.hex(), "resumo_estado": row.digest.hex()}
    return json_answer({"sucesso": True, "mensagem": "Feito.", "posicao": row.position, "epoca": row.epoch} | digests)


@office.get("/contas")
def give_accounts(query: AccountsQuery) -> Response:
    """A page of this node's accounts as its journal has them: id, balance and limit in centavos, version."""
    page = bank().history.accounts(query.depois, GIVEN_MAX)
    rows = [[name, account.balance_cents, account.limit_cents, account.version] for name, account in page]
    return json_answer({"sucesso": True, "mensagem": f"{len(rows)} conta(s).", "contas": rows})


@office.post("/reabertura")
def reopen_log(body: _Reopening) -> Response:
    """Let a lost log go on from this node's history; `sem` names members that are given up."""
    administration = bank().administration
    if (obstacle := administration.obstacle(body.sem)) is not None:
        raise Problem("REPLICACAO_INDISPONIVEL", obstacle)
    token = administration.reopen(body.sem)
    content = {"sucesso": True, "mensagem": f"O livro continua na época {token.epoch}.", "epoca": token.epoch}
    return json_answer(content | {"posicao": token.position}, 200, {"X-Posicao": str(token)})


@office.post("/retorno")
def rejoin() -> Response:
    """Take a healthy peer's journal; what this node's own has beyond it is proposed again."""
    bank().administration.rejoin()
    return json_answer({"sucesso": True, "mensagem": "O nó recomeça com o diário de outro."}, 202)


@office.post("/retirada")
def retire_member(body: _Retirement) -> Response:
    """Remove a member that is gone for good."""
    if body.banco == bank().config.node_name or body.banco in bank().administration.live():
        raise Problem("REQUISICAO_INVALIDA", f"{body.banco} responde: pare-o antes.")
    _, entry, headers = settle(Retire(str(uuid_utils.uuid7()), body.banco))
    return json_answer(movement_fields(entry, f"{body.banco} não é mais membro."), 200, headers)


@office.post("/versao")
def activate_version(body: _Activation) -> Response:
    """Write records of this version from now on; refused unless every member can read it."""
    _, entry, headers = settle(Activate(str(uuid_utils.uuid7()), body.versao))
    return json_answer(movement_fields(entry, f"Os registros têm a versão {body.versao}."), 200, headers)
