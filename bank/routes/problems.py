"""Problems: every error that leaves the node, as `application/problem+json` (RFC 9457).

One table says which `codigo` has which status and title, and how `/problemas/<tipo>` explains it. `resultado` is
`nao_aplicado` only if it is certain that this attempt did nothing.
"""

import logging
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from bank.errors import (
    Diverged,
    LogUnavailable,
    NotAccepted,
    NotReady,
    OutcomeUnknown,
    Overloaded,
    PositionAbandoned,
    PositionNotReached,
)
from bank.operations import Reason
from locks.bakery import LockTimeout

__all__ = [
    "CODIGOS",
    "CODIGO_OF_REASON",
    "Kind",
    "Problem",
    "codigo_of_error",
    "explanation",
    "problem_fields",
    "register",
    "slug",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one `codigo` have in common."""

    status: int
    title: str
    explanation: str


# ruff: noqa: E501 - one row a line: it is a table
CODIGOS: dict[str, Kind] = {
    "REQUISICAO_INVALIDA": Kind(400, "Requisição inválida", "O pedido não tem a forma esperada: JSON malformado, campo ausente, errado, desconhecido ou repetido. `violacoes` diz qual. Corrija e envie de novo."),
    "NAO_AUTENTICADO": Kind(401, "Não autenticado", "Falta uma credencial válida."),
    "NAO_AUTORIZADO": Kind(403, "Não autorizado", "Esta credencial não permite o pedido."),
    "SERVIDOR_DESCONHECIDO": Kind(403, "Servidor desconhecido", "O endereço não é de um nó deste banco nem de um servidor permitido. Nada foi enviado a ele. `/cluster` mostra os endereços conhecidos."),
    "CONTA_NAO_ENCONTRADA": Kind(404, "Conta não encontrada", "Não há conta com este identificador, em nenhum nó. Abra-a com POST /contas."),
    "OPERACAO_NAO_ENCONTRADA": Kind(404, "Operação não encontrada", "Este nó ainda não conhece a operação, o que não prova que ela não exista: só repetir o pedido com a mesma Idempotency-Key decide."),
    "ROTA_NAO_ENCONTRADA": Kind(404, "Rota não encontrada", "Não há nada neste caminho. `/openapi.json` e `/docs` mostram as rotas."),
    "METODO_NAO_PERMITIDO": Kind(405, "Método não permitido", "Este caminho existe, mas não com este método; o cabeçalho Allow diz quais."),
    "CONTA_JA_EXISTE": Kind(409, "Conta já existe", "Já há uma conta com este identificador; ela não foi alterada."),
    "POSICAO_ABANDONADA": Kind(409, "Posição abandonada", "A posição pedida pertence a uma história que foi abandonada. Leia de novo, sem X-Posicao-Minima."),
    "CORPO_GRANDE_DEMAIS": Kind(413, "Corpo grande demais", "O corpo do pedido passa do tamanho aceito. Divida o pedido."),
    "TIPO_NAO_SUPORTADO": Kind(415, "Tipo não suportado", "O corpo deve ser JSON. Com curl: -H 'Content-Type: application/json'."),
    "SALDO_INSUFICIENTE": Kind(422, "Saldo insuficiente", "O saldo, somado ao limite, não cobre o valor. Nada foi movimentado."),
    "MESMA_CONTA": Kind(422, "Mesma conta", "Origem e destino são a mesma conta. Nada foi movimentado."),
    "VALOR_ACIMA_DO_LIMITE": Kind(422, "Valor acima do limite", "O saldo passaria de 9999999999999.99. Nada foi movimentado."),
    "CHAVE_REUTILIZADA": Kind(422, "Chave reutilizada", "Esta Idempotency-Key já foi usada com outro pedido. Use uma chave nova para um pedido novo."),
    "SOBRECARGA": Kind(429, "Sobrecarga", "Já há pedidos demais em espera; este não foi aceito. Espere o tempo de Retry-After e repita."),
    "ERRO_INTERNO": Kind(500, "Erro interno", "O nó encontrou um defeito seu. O identificador em `detail` está no registro do nó."),
    "SERVIDOR_INACESSIVEL": Kind(502, "Servidor inacessível", "Não houve conexão com o outro servidor; nada foi enviado. Tente outro nó."),
    "REPLICACAO_INDISPONIVEL": Kind(503, "Replicação indisponível", "O livro, que ordena as operações de todos os nós, não responde. Repita com a mesma chave mais tarde."),
    "POSICAO_NAO_ALCANCADA": Kind(503, "Posição não alcançada", "Este nó não chegou a tempo à posição de X-Posicao-Minima. Repita, ou pergunte a outro nó."),
    "NO_NAO_PRONTO": Kind(503, "Nó não pronto", "Este nó está entrando, atrasado ou com o relógio errado; ou pede-se um lote atômico, e nem todos os nós os leem ainda. Use outro nó, ou repita mais tarde."),
    "NO_DIVERGENTE": Kind(503, "Nó divergente", "O conteúdo deste nó contradiz o dos outros; ele não atende até que um operador o conserte. Use outro nó."),
    "RESULTADO_DESCONHECIDO": Kind(504, "Resultado desconhecido", "O pedido foi enviado e não houve resposta a tempo: pode ter sido aplicado. Repita com a mesma Idempotency-Key; nada acontece duas vezes."),
}  # fmt: skip

CODIGO_OF_REASON = {
    Reason.ACCOUNT_NOT_FOUND: "CONTA_NAO_ENCONTRADA",
    Reason.ACCOUNT_EXISTS: "CONTA_JA_EXISTE",
    Reason.INSUFFICIENT_FUNDS: "SALDO_INSUFICIENTE",
    Reason.SAME_ACCOUNT: "MESMA_CONTA",
    Reason.ABOVE_LIMIT: "VALOR_ACIMA_DO_LIMITE",
    Reason.ID_REUSED: "CHAVE_REUTILIZADA",
    Reason.MEMBER_NOT_FOUND: "REQUISICAO_INVALIDA",
    Reason.LOG_EXISTS: "REQUISICAO_INVALIDA",
    Reason.VERSION_NOT_SUPPORTED: "REQUISICAO_INVALIDA",
}

_CODIGO_OF_ERROR: dict[type[Exception], str] = {
    Overloaded: "SOBRECARGA",
    NotReady: "NO_NAO_PRONTO",
    Diverged: "NO_DIVERGENTE",
    LogUnavailable: "REPLICACAO_INDISPONIVEL",
    PositionNotReached: "POSICAO_NAO_ALCANCADA",
    PositionAbandoned: "POSICAO_ABANDONADA",
    NotAccepted: "REPLICACAO_INDISPONIVEL",
    OutcomeUnknown: "RESULTADO_DESCONHECIDO",
    LockTimeout: "NO_NAO_PRONTO",
}

_CODIGO_OF_STATUS = {
    404: "ROTA_NAO_ENCONTRADA",
    405: "METODO_NAO_PERMITIDO",
    413: "CORPO_GRANDE_DEMAIS",
    415: "TIPO_NAO_SUPORTADO",
}

_RETRY_STATUSES = {429, 503}


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818 - the name that RFC 9457 gives it
    """An answer that is a problem. `detail` is a Portuguese sentence for the customer."""

    codigo: str
    detail: str = ""
    violacoes: list[dict[str, str]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    indice: int | None = None
    """Of an atomic batch: which operation was refused, counted from 0."""

    @property
    def kind(self) -> Kind:
        """What all problems of this `codigo` have in common."""
        return CODIGOS[self.codigo]


def slug(codigo: str) -> str:
    """Return the last part of a problem's `type`: `saldo-insuficiente`."""
    return codigo.lower().replace("_", "-")


def explanation(name: str) -> tuple[str, Kind] | None:
    """Return the `codigo` and kind that `/problemas/<name>` explains."""
    return next(((codigo, kind) for codigo, kind in CODIGOS.items() if slug(codigo) == name), None)


def problem_fields(problem: Problem, *, instance: str, operation_id: str | None = None) -> dict[str, Any]:
    """Return what the problem's JSON holds. `instance` is the path that was asked for."""
    kind = problem.kind
    detail = problem.detail or kind.explanation
    # A defect of ours may have struck after the operation was sent to the log.
    unknown = problem.codigo == "RESULTADO_DESCONHECIDO" or (kind.status == 500 and operation_id is not None)
    content: dict[str, Any] = {
        "type": f"/problemas/{slug(problem.codigo)}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": instance,
        "sucesso": False,
        "mensagem": detail,
        "codigo": problem.codigo,
        "resultado": "desconhecido" if unknown else "nao_aplicado",
    }
    if operation_id is not None:
        content["id_operacao"] = operation_id
    if problem.violacoes is not None:
        content["violacoes"] = problem.violacoes
    if problem.indice is not None:
        content["indice"] = problem.indice
    return content


def _respond(problem: Problem) -> Response:
    content = problem_fields(
        problem, instance=quote(request.path, safe="/:@!$&'()*+,;=~-._"), operation_id=g.get("operation_id")
    )
    response = Response(
        msgspec.json.encode(content), problem.kind.status, problem.headers, content_type="application/problem+json"
    )
    if problem.kind.status in _RETRY_STATUSES:
        response.headers.setdefault("Retry-After", "1")
    return response


def codigo_of_error(error: Exception) -> str:
    """Return the `codigo` of an operational error."""
    return next(_CODIGO_OF_ERROR[kind] for kind in type(error).__mro__ if kind in _CODIGO_OF_ERROR)


def _of_bank_error(error: Exception) -> Response:
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, NotAccepted) else {}
    return _respond(Problem(codigo_of_error(error), headers=headers))


def _of_http_error(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:  # a redirect, or a response that was ready
        return error.get_response()  # type: ignore[return-value]
    codigo = _CODIGO_OF_STATUS.get(error.code, "REQUISICAO_INVALIDA" if error.code < 500 else "ERRO_INTERNO")
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _respond(Problem(codigo, headers=headers))


def _of_bug(error: Exception) -> Response:
    error_id = secrets.token_hex(8)
    log.error("request failed", extra={"error_id": error_id, "path": request.path}, exc_info=error)
    return _respond(Problem("ERRO_INTERNO", f"Erro interno; o registro do nó tem os pormenores sob {error_id}."))


def register(app: Flask) -> None:
    """Let every error of the application leave as a problem."""
    app.register_error_handler(Problem, _respond)
    for kind in _CODIGO_OF_ERROR:
        app.register_error_handler(kind, _of_bank_error)
    app.register_error_handler(HTTPException, _of_http_error)
    app.register_error_handler(Exception, _of_bug)
