"""Batches: many operations in one request, each with an outcome of its own, or all or none.

A body of 10,000 operations is decoded by msgspec into the shapes below, which are also its schema in the document.
Amounts are kept as they were written until `positive_cents` has read them, like everywhere at the edge.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, cast

import msgspec
from flask import Response, request
from flask_openapi.blueprint import APIBlueprint
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from bank.entries import Entry
from bank.errors import NotAccepted, OutcomeUnknown
from bank.operations import (
    ACCOUNT_ID,
    BATCH_KEY,
    BATCH_OPERATIONS_MAX,
    HOLDER,
    KEY,
    Applied,
    Batch,
    CustomerOperation,
    Deposit,
    Open,
    Rejected,
    Transfer,
    Withdraw,
    accounts_of,
    scope_of,
)
from bank.records import MAX_BATCH_BYTES, encode_operation
from bank.routes.access import signed
from bank.routes.answers import bank, instant, json_answer, money, movement_fields, operation_id, settle
from bank.routes.door import BankRequest, Digits
from bank.routes.models import MONEY, MONEY_OR_ZERO, cents, checked_account_id, positive_cents
from bank.routes.problems import CODIGO_OF_REASON, CODIGOS, Problem, codigo_of_error
from bank.views import Answer

__all__ = ["batches", "request_schemas"]

batches = APIBlueprint("lotes", __name__, abp_tags=[{"name": "lotes"}])

Outcome = Answer | NotAccepted | OutcomeUnknown


def _text_like(pattern: str, example: str) -> Meta:
    """Let msgspec check a text; the document has the pattern as browsers write it."""
    return Meta(pattern=pattern, examples=[example], extra_json_schema={"pattern": pattern.replace(r"\Z", "$")})


_Account = Annotated[str, _text_like(ACCOUNT_ID, "maria")] | Annotated[int, Meta(ge=0)]
_Id = Annotated[str, _text_like(KEY, "pedido-17")]
_Holder = Annotated[str, _text_like(HOLDER, "Maria")]
_Money = Annotated[Raw, Meta(extra_json_schema=MONEY)]
_MoneyOrZero = Annotated[Raw, Meta(extra_json_schema=MONEY_OR_ZERO | {"default": 0})]


def _zero() -> Raw:
    return Raw(b"0")


class _WrongField(Exception):  # noqa: N818 - it is called what happened
    """One field of one operation is not what it must be; the arguments are its name, the reason and its text."""


class _Asked(Struct, forbid_unknown_fields=True, tag_field="op", kw_only=True):
    id: _Id | UnsetType = UNSET

    def _account(self, name: str) -> str:
        account = getattr(self, name)
        try:
            return account if isinstance(account, str) else checked_account_id(Digits(account))
        except ValueError as error:
            raise _WrongField(name, str(error), str(account)) from None

    def _cents(self, name: str, read: Callable[[object], int]) -> int:
        text = bytes(getattr(self, name)).decode()  # a number as it was written, or a text in its quotes
        if text[0] == '"':
            text = json.loads(text) if "\\" in text else text[1:-1]
        try:
            return read(text)
        except ValueError as error:
            raise _WrongField(name, str(error), text) from None


class Abertura(_Asked, tag="abertura"):
    """Como POST /contas. / Opens an account."""

    id_conta: _Account
    saldo: _MoneyOrZero = msgspec.field(default_factory=_zero)
    limite: _MoneyOrZero = msgspec.field(default_factory=_zero)
    titular: _Holder | None = None

    def operation(self, key: str) -> Open:
        """Return what is asked for. Raises _WrongField."""
        holder = UNSET if self.titular is None else self.titular
        return Open(key, self._account("id_conta"), self._cents("saldo", cents), self._cents("limite", cents), holder)


class Deposito(_Asked, tag="deposito"):
    """Um depósito. / A deposit."""

    id_conta: _Account
    valor: _Money

    def operation(self, key: str) -> Deposit:
        """Return what is asked for. Raises _WrongField."""
        return Deposit(key, self._account("id_conta"), self._cents("valor", positive_cents))


class Saque(_Asked, tag="saque"):
    """Um saque. / A withdrawal."""

    id_conta: _Account
    valor: _Money

    def operation(self, key: str) -> Withdraw:
        """Return what is asked for. Raises _WrongField."""
        return Withdraw(key, self._account("id_conta"), self._cents("valor", positive_cents))


class Transferencia(_Asked, tag="transferencia"):
    """Uma transferência. / A transfer."""

    id_conta: _Account
    conta_destino: _Account
    valor: _Money

    def operation(self, key: str) -> Transfer:
        """Return what is asked for. Raises _WrongField."""
        amount_cents = self._cents("valor", positive_cents)
        return Transfer(key, self._account("id_conta"), self._account("conta_destino"), amount_cents)


_Any = Abertura | Deposito | Saque | Transferencia


class Lote(Struct, forbid_unknown_fields=True):
    """Um lote de operações. / A batch."""

    operacoes: Annotated[list[_Any], Meta(min_length=1, max_length=BATCH_OPERATIONS_MAX)]
    atomico: bool = False


_decoder = msgspec.json.Decoder(Lote)


@batches.post("/lote", summary="Muitas operações / Many operations")
def apply_batch() -> Response:
    """Takes effect in its order. With `atomico` all or nothing: one operation, with one id, without ids inside."""
    key = operation_id()
    if not re.search(BATCH_KEY, key):
        raise _invalid("Idempotency-Key", "no máximo 250 caracteres num lote", key)
    body = cast("BankRequest", request).checked_json()
    try:
        lote = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _invalid(*_what_is_wrong(str(error))) from None
    operations = list(_operations(lote, key))
    return _apply_whole(Batch(key, tuple(operations))) if lote.atomico else _apply_each(operations, key)


def _operations(lote: Lote, key: str) -> Iterator[CustomerOperation]:
    for index, asked in enumerate(lote.operacoes):
        if lote.atomico and asked.id is not UNSET:
            raise _invalid(f"operacoes[{index}].id", "não pode estar num lote atômico: ele tem um só id", asked.id)
        part_id = str(index) if lote.atomico else f"{key}/{index}"
        try:
            yield asked.operation(part_id if asked.id is UNSET else asked.id)
        except _WrongField as wrong:
            name, reason, value = wrong.args
            raise _invalid(f"operacoes[{index}].{name}", reason, value) from None


def _apply_each(operations: Sequence[CustomerOperation], key: str) -> Response:
    outcomes = bank().submit_all(signed(operations))
    results = [_result(*pair) for pair in zip(operations, outcomes, strict=True)]
    applied = sum(result["sucesso"] for result in results)
    unknown = sum(result.get("resultado") == "desconhecido" for result in results)
    mensagem = f"{len(results)} operações: {applied} aplicadas, {len(results) - applied - unknown} não aplicadas"
    mensagem += f", {unknown} de resultado desconhecido." if unknown else "."
    replayed = all(isinstance(outcome, Answer) and outcome.replayed for outcome in outcomes)
    content = {"sucesso": True, "mensagem": mensagem, "id_operacao": key, "resultados": _encoded(results)}
    return json_answer(content, 200, {"Idempotency-Replayed": "true"} if replayed else {})


def _apply_whole(batch: Batch) -> Response:
    if len(encode_operation(batch)) > MAX_BATCH_BYTES:
        raise Problem("CORPO_GRANDE_DEMAIS", "O lote atômico não cabe num registro do livro. Divida-o.")
    _, entry, headers = settle(batch)
    parts = bank().history.parts(entry)
    results = [_result(part.operation, Answer(part, replayed=bool(headers))) for part in parts]
    content = movement_fields(entry, f"{len(results)} operações aplicadas.") | {"resultados": _encoded(results)}
    return json_answer(content, 200, headers)


def _encoded(results: list[dict[str, Any]]) -> Raw:
    """Return the results as they leave: `json_answer` would look through each of them for digits of other banks."""
    return Raw(msgspec.json.encode(results))


def _result(operation: Any, outcome: Outcome) -> dict[str, Any]:
    """Return what became of one operation, as the answer lists it."""
    content: dict[str, Any] = {"sucesso": False, "id_operacao": scope_of(operation.id)[1]}
    content["op"] = operation.__struct_config__.tag
    if not isinstance(outcome, Answer):
        unknown = isinstance(outcome, OutcomeUnknown)
        return content | _refusal(codigo_of_error(outcome), "desconhecido" if unknown else "nao_aplicado")
    entry: Entry = outcome.entry
    content["repetida"] = outcome.replayed
    if isinstance(entry.outcome, Rejected):
        return content | _refusal(CODIGO_OF_REASON[entry.outcome.reason], "nao_aplicado")
    assert isinstance(entry.outcome, Applied), "applied or refused"
    content |= zip(("id_conta", "conta_destino"), accounts_of(operation), strict=False)
    content["sucesso"] = True
    content["saldo"] = money(entry.outcome.balance_cents)
    content["posicao"] = entry.position
    content["instante"] = instant(entry.instant_ms)
    return content


def _refusal(codigo: str, resultado: str) -> dict[str, Any]:
    return {
        "status": CODIGOS[codigo].status,
        "codigo": codigo,
        "mensagem": CODIGOS[codigo].explanation,
        "resultado": resultado,
    }


def _invalid(name: str, reason: str, value: str = "") -> Problem:
    violation = {"propriedade": name, "razao": reason, "valor": value[:100]}
    return Problem("REQUISICAO_INVALIDA", f"Campo inválido: {name}.", [violation])


_WRONG = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]*)`")
_FORMS = {
    "operacoes": f"deve ser uma lista de 1 a {BATCH_OPERATIONS_MAX} operações",
    "atomico": "deve ser true ou false",
    "op": "deve ser abertura, deposito, saque ou transferencia",
    "id": "deve ter 1 a 255 caracteres ASCII",
    "id_conta": "deve ter 1 a 64 de A-Z a-z 0-9 . _ - e começar por letra ou dígito",
    "conta_destino": "deve ter 1 a 64 de A-Z a-z 0-9 . _ - e começar por letra ou dígito",
    "titular": "deve ter 1 a 200 caracteres, nenhum deles de controle",
}


def _what_is_wrong(error: str) -> tuple[str, str]:
    """Return, from what msgspec says, which field is wrong (`operacoes[3].valor`), and why, for the customer."""
    found = _WRONG.fullmatch(error)
    place = (found and found["place"]) or ""
    if (field := _FIELD.match(error)) is not None:
        reason = "é obrigatório" if field["what"] == "missing required" else "é desconhecido"
        return f"{place}.{field['name']}".lstrip("."), reason
    return place or "corpo", _FORMS.get(place.rpartition(".")[2], "não tem a forma esperada")


def request_schemas() -> dict[str, Any]:
    """Return the schemas of the request, by name, for the document."""
    _, schemas = msgspec.json.schema_components((Lote,), ref_template="#/components/schemas/{name}")
    return dict(schemas)
