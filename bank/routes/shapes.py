"""The shapes of answers for the OpenAPI document: which fields each route answers, and what each field is.

Every field is described once, with its example; a route's schema and example are put together from its fields.
Knows no request. That real answers have these shapes is shown by tests/integration/test_schema.py.
"""

from typing import Any

from bank.routes.problems import CODIGOS, Problem, problem_fields

__all__ = ["PROBLEM", "problem_example", "success_example", "success_schema"]

Schema = dict[str, Any]


def _field(schema: Schema, example: object, description: str) -> Schema:
    return schema | {"examples": [example], "description": description}


_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MONEY: Schema = {"type": "number", "minimum": -9999999999999.99, "maximum": 9999999999999.99}
_TOTAL: Schema = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$"}
_DIGEST: Schema = {"type": "string", "pattern": "^([0-9a-f]{32})?$"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_A_TIME = "2026-01-31T12:00:00.000Z"
_A_DIGEST = "87a3c9bb753c2fa7a6810b3d0f8f5c11"
_AN_ID = "01a208da-10cc-7142-9918-83af01597dc1"

_ACCOUNT = ("id_conta", "saldo", "saldo_disponivel", "limite", "banco", "titular", "situacao", "versao")
_MOVEMENT = ("id_operacao", "posicao", "instante")
_ENTRY = (
    "versao", "op", "valor", "saldo", "contraparte", "posicao", "instante", "id_operacao", "banco",
)  # fmt: skip
_WHO = frozenset({"autor", "pedido", "endereco"})
_NODE = (
    "nome", "enderecos", "posicao", "atraso", "estado", "resumo_historico", "resumo_estado", "visto",
)  # fmt: skip
_HEALTH = ("estado", "vivo", "pronto", "motivos", "linhas", "detalhes")

_FIELDS: dict[str, Schema] = {
    "sucesso": _field({"const": True}, True, "Verdadeiro em toda resposta de sucesso. / True in every success."),
    "mensagem": _field(_TEXT, "Feito.", "Uma frase em português. / A Portuguese sentence."),
    "id_conta": _field(_TEXT, "maria", "A conta. / The account."),
    "conta_destino": _field(_TEXT, "joao", "A conta que recebe. / The receiving account."),
    "saldo": _field(_MONEY, 100.50, "Em reais, duas casas decimais. / Balance, two decimals."),
    "saldo_disponivel": _field(_MONEY | {"maximum": 19999999999999.98}, 150.50, "Saldo mais limite. / With overdraft."),
    "limite": _field(_MONEY | {"minimum": 0}, 50.00, "Quanto o saldo pode ficar abaixo de zero. / Overdraft limit."),
    "valor": _field(_MONEY, -10.50, "Com sinal no extrato. / Signed in a statement."),
    "banco": _field(_TEXT, "banco-5000", "O nó que propôs a operação. / The node that proposed it."),
    "titular": _field(_TEXT_OR_NULL, "Maria", "Quem é o dono. / The holder."),
    "situacao": _field({"type": "string", "enum": ["ativa"]}, "ativa", "Outros valores são reservados. / Reserved."),
    "versao": _field({"type": "integer", "minimum": 1}, 2, "Conta os movimentos da conta. / Counts its movements."),
    "id_operacao": _field(_TEXT, _AN_ID, "A Idempotency-Key, ou o id dado pelo banco. / The operation's id."),
    "posicao": _field(_COUNT, 7, "O lugar no livro. / The place in the log."),
    "instante": _field(_INSTANT, _A_TIME, "RFC 3339, UTC, milissegundos."),
    "servidor": _field(_TEXT, "http://127.0.0.1:5001", "O servidor que respondeu. / Who answered."),
    "defasada": _field({"const": True}, True, "Só quando o livro não respondeu a tempo. / Only when stale."),
    "contraparte": _field(_TEXT_OR_NULL, None, "A outra conta de uma transferência. / The other account."),
    "op": _field(_TEXT, "saque", "abertura, deposito, saque, transferencia, lote; do livro: genesis, entrada…"),
    "codigo": _field({"type": "string", "enum": list(CODIGOS)}, "SALDO_INSUFICIENTE", "Por que foi recusada. / Why."),
    "autor": _field(_TEXT_OR_NULL, "ana", "Quem pediu, para quem audita. / Who asked, for those who audit."),
    "pedido": _field(_TEXT_OR_NULL, "01a208da10cc7142", "Com que pedido, idem. / With which request."),
    "endereco": _field(_TEXT_OR_NULL, "127.0.0.1", "De que endereço, idem. / From which address."),
    "indice": _field(_COUNT, 0, "Num lote atômico, a operação que foi recusada. / Which one of an atomic batch."),
    "proxima": _field(_TEXT_OR_NULL, None, "O `depois` da próxima página. / The next page's `depois`."),
    "anterior": _field({"type": ["integer", "null"]}, None, "O `antes` da próxima página. / The next page's `antes`."),
    "epoca": _field({"type": "integer", "minimum": 1}, 1, "A época do livro. / The log's epoch."),
    "soma_saldos": _field(_TOTAL, "100.50", "A soma de todos os saldos. / The sum of balances."),
    "depositos": _field(_TOTAL, "150.50", "Tudo o que entrou, saldos iniciais incluídos. / All that came in."),
    "saques": _field(_TOTAL, "50.00", "Tudo o que saiu. / All that went out."),
    "confere": _field({"type": "boolean"}, True, "Os totais e a soma dos saldos concordam. / The books agree."),
    "resumo_historico": _field(_DIGEST, _A_DIGEST, "Resumo da história. / Chain digest."),
    "resumo_estado": _field(_DIGEST, _A_DIGEST, "Resumo do conteúdo. / State digest."),
    "nome": _field(_TEXT, "banco-5000", "O nó. / The node."),
    "enderecos": _field({"type": "array", "items": _TEXT}, ["http://127.0.0.1:5000"], "O dos outros nós primeiro."),
    "atraso": _field(_COUNT, 0, "Em milissegundos. / Lag in ms."),
    "estado": _field(_TEXT, "pronto", "pronto, ou o que o impede de aceitar operações. / State."),
    "visto": _field(_INSTANT, _A_TIME, "Quando foi ouvido. / Last heard."),
    "vivo": _field({"type": "boolean"}, True, "Toda linha de execução vive. / Every thread lives."),
    "pronto": _field({"type": "boolean"}, True, "Aceita operações. / Accepts operations."),
    "motivos": _field({"type": "array", "items": _TEXT}, [], "Para o operador, em inglês. / For the operator."),
    "linhas": _field({"type": "object"}, {"applier": True}, "Linhas de execução. / Threads."),
    "detalhes": _field({"type": "object"}, {"posicao": 7}, "Números para o operador. / Numbers for the operator."),
}


def _object(names: tuple[str, ...], optional: frozenset[str] = frozenset(), **special: Schema) -> Schema:
    """Return the schema of an object with these fields and special ones, and its example."""
    properties = {name: _FIELDS[name] for name in names} | special
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
        "examples": [{name: field["examples"][0] for name, field in properties.items() if name not in optional}],
    }


def _list_of(item: Schema, description: str) -> Schema:
    return _field({"type": "array", "items": item}, item["examples"], description)


def _answer(*names: str, optional: frozenset[str] = frozenset(), **special: Schema) -> Schema:
    return _object(("sucesso", "mensagem", *names), optional, **special)


_LOG = _object(
    ("estado", "epoca"),
    tipo=_field({"type": "string", "enum": ["embutido", "rabbitmq"]}, "embutido", "Que livro. / Which log."),
    id=_field(_TEXT, "54e6789c2c3a47cca9aa42ecc8a6289f", "Vazio antes do começo. / Empty before genesis."),
    replicas=_field({"type": ["integer", "null"]}, None, "Réplicas do livro, se ele as tem. / Its replicas."),
)
_OUTCOME = _field({"type": "string", "enum": ["aplicada", "recusada"]}, "aplicada", "O resultado. / The outcome.")
_TRANSFER = _answer(*_MOVEMENT, "id_conta", "conta_destino", "saldo")
_HEALTHY = _answer(*_HEALTH)
_STALE = frozenset({"defasada"})
_RESULT = _object(
    ("id_operacao", "op", "id_conta", "conta_destino", "saldo", "posicao", "instante", "codigo", "mensagem"),
    frozenset(
        {
            "id_conta",
            "conta_destino",
            "saldo",
            "posicao",
            "instante",
            "codigo",
            "mensagem",
            "resultado",
            "repetida",
            "status",
        }
    ),
    sucesso=_field({"type": "boolean"}, True, "A operação foi aplicada. / It was applied."),
    repetida=_field({"type": "boolean"}, False, "É o primeiro resultado deste id, de novo. / A repeat."),
    resultado=_field({"type": "string", "enum": ["nao_aplicado", "desconhecido"]}, "nao_aplicado", "Como nos erros."),
    status=_field({"type": "integer"}, 422, "O que a operação sozinha teria respondido. / As if asked alone."),
)

_LINE = _object((*_ENTRY, *sorted(_WHO)), _WHO)

_ANSWERS: dict[tuple[str, str], Schema] = {
    ("post", "/contas"): _answer(*_MOVEMENT, "id_conta", "saldo", "limite", "titular", "banco"),
    ("get", "/contas"): _answer("proxima", contas=_list_of(_object(_ACCOUNT), "As contas. / The accounts.")),
    ("get", "/contas/{id_conta}"): _answer(*_ACCOUNT, "defasada", optional=_STALE),
    ("post", "/contas/{id_conta}/deposito"): _answer(*_MOVEMENT, "id_conta", "saldo"),
    ("post", "/contas/{id_conta}/saque"): _answer(*_MOVEMENT, "id_conta", "saldo"),
    ("get", "/contas/{id_conta}/extrato"): _answer(
        "id_conta", "anterior", lancamentos=_list_of(_LINE, "Do mais novo ao mais antigo. / Newest first.")
    ),
    ("post", "/transferencia/{id_conta}"): _TRANSFER,
    ("post", "/transferencia{id_conta}"): _TRANSFER,
    ("post", "/contas/{id_conta}/transferencia"): _TRANSFER,
    ("post", "/lote"): _answer(
        *_MOVEMENT, optional=frozenset({"posicao", "instante"}),
        resultados=_list_of(_RESULT, "Um por operação, na ordem do pedido. / One each, in order."),
    ),
    ("get", "/saldo-outro-servidor/{id_conta}/{endereco_servidor}"): _answer(
        *_ACCOUNT, "defasada", "servidor", optional=_STALE
    ),
    ("post", "/transacao-outro-servidor"): _answer(*_MOVEMENT, "id_conta", "saldo", "servidor"),
    ("get", "/operacoes/{id_operacao}"): _answer(
        "id_operacao", "op", "id_conta", "conta_destino", "valor", "saldo", "codigo", "posicao", "instante", "banco",
        "indice", *sorted(_WHO), situacao=_OUTCOME,
        optional=_WHO | {"id_conta", "conta_destino", "valor", "saldo", "codigo", "indice"},
    ),
    ("get", "/eventos"): _field(_TEXT, "id: 1-7-87a3c9bb.1\ndata: {…}\n\n", "`data`: como em /operacoes. / As there."),
    ("get", "/cluster"): _answer(livro=_LOG, nos=_list_of(_object(_NODE), "Os nós ouvidos. / The nodes heard.")),
    ("get", "/auditoria"): _answer(
        "soma_saldos", "depositos", "saques", "epoca", "posicao", "resumo_historico", "resumo_estado", "confere",
        contas=_field(_COUNT, 2, "Quantas contas. / How many accounts."),
    ),
    ("get", "/metrics"): _field(_TEXT, "banco_posicao 7.0\n", "Formato de texto do Prometheus. / Its text format."),
    ("get", "/saude"): _HEALTHY,
    ("get", "/saude/vivo"): _HEALTHY,
    ("get", "/saude/pronto"): _HEALTHY,
}  # fmt: skip

PROBLEM: Schema = {
    "type": "object",
    "description": "Todo erro, como application/problem+json (RFC 9457). / Every error.",
    "required": ["type", "title", "status", "detail", "instance", "sucesso", "mensagem", "codigo", "resultado"],
    "properties": {
        "type": _field(_TEXT, "/problemas/saldo-insuficiente", "Explica-se a quem a pede. / Answers a GET."),
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": _TEXT,
        "sucesso": {"const": False},
        "mensagem": _field(_TEXT, "Saldo insuficiente.", "O mesmo que detail. / Same as detail."),
        "codigo": {"type": "string", "enum": list(CODIGOS)},
        "resultado": {
            "type": "string",
            "enum": ["nao_aplicado", "desconhecido"],
            "description": "desconhecido: repita com a mesma Idempotency-Key. / Repeat with the same key.",
        },
        "id_operacao": _field(_TEXT, _AN_ID, "Nas mutações. / On mutations."),
        "indice": _FIELDS["indice"],
        "violacoes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["propriedade", "razao", "valor"],
                "properties": {"propriedade": _TEXT, "razao": _TEXT, "valor": _TEXT},
            },
        },
    },
}


def success_schema(path: str, method: str) -> Schema:
    """Return the schema of a route's success answer. Raises KeyError for a route without one."""
    return {key: value for key, value in _ANSWERS[method, path].items() if key != "examples"}


def success_example(path: str, method: str) -> object:
    """Return an example of it."""
    return _ANSWERS[method, path]["examples"][0]


def problem_example(codigo: str, path: str) -> Schema:
    """Return an example of a problem at a route."""
    violacoes = [{"propriedade": "valor", "razao": "é obrigatório", "valor": ""}]
    problem = Problem(codigo, violacoes=violacoes if codigo == "REQUISICAO_INVALIDA" else None)
    return problem_fields(problem, instance=path.replace("{id_conta}", "maria"))
