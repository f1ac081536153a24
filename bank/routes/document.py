"""The OpenAPI document: what flask-openapi reads from the routes, plus what holds for all of them.

Headers and problems are added here once, and not by models at each route: a header model costs a hot route some
250 µs a request.
"""

from typing import Any

from flask_openapi.openapi import OpenAPI

from bank.routes.batches import request_schemas
from bank.routes.problems import CODIGOS
from bank.routes.shapes import PROBLEM, problem_example, success_example, success_schema

__all__ = ["BankAPI"]

_ID_OF_MUTATION = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 a 255 caracteres ASCII. O primeiro resultado é repetido, em qualquer nó, para sempre. / "
    "The first outcome is repeated, at any node, for ever.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-~]([ -~]{0,253}[!-~])?$"},
}
_ID_OF_BATCH = _ID_OF_MUTATION | {
    "description": "1 a 250 caracteres ASCII; a operação i, se não traz id, tem o id <chave>/<i>. / "
    "Operation i, unless it has an id, gets <key>/<i>.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": r"^[!-~]([ -~]{0,248}[!-~])?$"},
}
_BATCH = {
    "operacoes": [
        {"op": "abertura", "id_conta": "maria"},
        {"op": "deposito", "id_conta": "maria", "valor": "100.50"},
    ]
}
_MINIMUM = {
    "name": "X-Posicao-Minima",
    "in": "header",
    "required": False,
    "description": "A X-Posicao de uma resposta anterior: o nó espera até tê-la alcançado, 2 s no máximo.",
    "schema": {"type": "string", "pattern": r"^[1-9][0-9]{0,8}-(0|[1-9][0-9]{0,17})-[0-9a-f]{8}$"},
}
_LAST_EVENT = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "O id do último evento recebido; sem ele, a partir de agora. / The last event's id.",
    "schema": {
        "type": "string",
        "pattern": r"^[1-9][0-9]{0,8}-(0|[1-9][0-9]{0,17})-[0-9a-f]{8}\.(0|[1-9][0-9]{0,17})$",
    },
}
_CONSISTENCY = {
    "name": "consistencia",
    "in": "query",
    "required": False,
    "description": "Sem ela: linearizável, ou marcada `defasada` se o livro não responde em 500 ms.",
    "schema": {"type": "string", "enum": ["forte", "local"]},
}

_MEDIA = {"/eventos": "text/event-stream", "/metrics": "text/plain"}


class BankAPI(OpenAPI):
    """The application, which knows its own document."""

    def generate_spec_json(self) -> None:
        """Complete what flask-openapi made: shared headers, answers and problems."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        document = self.spec_json
        document["openapi"] = "3.1.0"  # the newest that clients and tools read alike
        schemas = document["components"]["schemas"]
        schemas["Problema"] = PROBLEM
        schemas |= request_schemas()
        schemas.pop(self.validation_error_model.__name__, None)
        for path, item in document["paths"].items():
            for method, operation in item.items():
                _complete(path, method, operation)
        if self.extensions["banco_tokens"] is not None:
            _lock(document)


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    parameters = operation.setdefault("parameters", [])
    parameters.append(_MINIMUM)
    if method == "post":
        parameters.append(_ID_OF_BATCH if path == "/lote" else _ID_OF_MUTATION)
    if path == "/lote":
        body = {"schema": {"$ref": "#/components/schemas/Lote"}, "example": _BATCH}
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    if path == "/contas/{id_conta}":
        parameters.append(_CONSISTENCY)
    if path == "/eventos":
        parameters.append(_LAST_EVENT)
    media = _MEDIA.get(path, "application/json")
    good = "201" if (path, method) == ("/contas", "post") else "200"
    success = {"schema": success_schema(path, method), "example": success_example(path, method)}
    operation["responses"] = {good: {"description": "Feito. / Done.", "content": {media: success}}}
    for status, codigos in _problems_of(path, method).items():
        examples = {codigo: {"value": problem_example(codigo, path)} for codigo in codigos}
        problem = {"schema": {"$ref": "#/components/schemas/Problema"}, "examples": examples}
        operation["responses"][str(status)] = {
            "description": "; ".join(f"`{codigo}`: {CODIGOS[codigo].title}" for codigo in codigos),
            "content": {"application/problem+json": problem},
        }


def _lock(document: dict[str, Any]) -> None:
    """Say where a token is asked for, and what happens without one."""
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, item in document["paths"].items():
        for operation in item.values():
            if not path.startswith("/saude"):
                operation["security"] = [{"token": []}]
                for codigo in ("NAO_AUTENTICADO", "NAO_AUTORIZADO"):
                    answer = {"description": f"`{codigo}`: {CODIGOS[codigo].title}"}
                    operation["responses"].setdefault(str(CODIGOS[codigo].status), answer)


_EVERYWHERE = {"REQUISICAO_INVALIDA", "POSICAO_ABANDONADA", "POSICAO_NAO_ALCANCADA", "ERRO_INTERNO"}
_NODE = {"NO_NAO_PRONTO", "NO_DIVERGENTE", "REPLICACAO_INDISPONIVEL"}
_MUTATION = _NODE | {
    "CORPO_GRANDE_DEMAIS", "TIPO_NAO_SUPORTADO", "CONTA_NAO_ENCONTRADA", "VALOR_ACIMA_DO_LIMITE", "CHAVE_REUTILIZADA",
    "SOBRECARGA", "RESULTADO_DESCONHECIDO",
}  # fmt: skip
_HERE = {"/lote": {"CONTA_JA_EXISTE", "SALDO_INSUFICIENTE", "MESMA_CONTA"}, "/eventos": {"SOBRECARGA"}}


def _problems_of(path: str, method: str) -> dict[int, list[str]]:
    """Return the problems that a route may answer, by status."""
    found = _EVERYWHERE | _HERE.get(path, set())
    if method == "post":
        found |= _MUTATION
    if path == "/contas" and method == "post":
        found |= {"CONTA_JA_EXISTE"}
    if "saque" in path or "transferencia" in path or "transacao" in path:
        found |= {"SALDO_INSUFICIENTE"}
    if "transferencia" in path:
        found |= {"MESMA_CONTA", "SERVIDOR_DESCONHECIDO"}
    if "servidor" in path:
        found |= {
            "SERVIDOR_DESCONHECIDO", "NAO_AUTORIZADO", "SERVIDOR_INACESSIVEL", "RESULTADO_DESCONHECIDO", "SOBRECARGA",
            "CONTA_NAO_ENCONTRADA",
        }  # fmt: skip
    if path.startswith(("/contas/", "/saude")):
        found |= _NODE | {"CONTA_NAO_ENCONTRADA"}
    if path.startswith("/operacoes"):
        found |= {"OPERACAO_NAO_ENCONTRADA"}
    by_status: dict[int, list[str]] = {}
    for codigo in sorted(found):
        by_status.setdefault(CODIGOS[codigo].status, []).append(codigo)
    return dict(sorted(by_status.items()))
