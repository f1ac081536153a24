"""What requests may hold and what answers look like: the source of `/openapi.json`.

Only the first of several spellings of a key is documented; the others are for clients that exist already. Money is
read from raw digits (see `door`); nothing here ever makes a float.
"""

import re
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from bank.money import parse_cents
from bank.operations import ACCOUNT_ID, HOLDER
from bank.routes.door import Digits
from bank.routes.problems import Problem

__all__ = [
    "MONEY",
    "MONEY_OR_ZERO",
    "AccountPath",
    "AccountsQuery",
    "NewAccount",
    "OtherServerOperation",
    "StatementQuery",
    "TransferRequest",
    "Value",
    "cents",
    "checked_account_id",
    "positive_cents",
    "refuse_invalid",
]


def _amount_schema(minimum: float) -> dict[str, Any]:
    number = {"type": "number", "minimum": minimum, "maximum": 9999999999999.99, "multipleOf": 0.01}
    not_zero = r"(?!0(\.0{1,2})?$)" if minimum else ""
    text = {"type": "string", "pattern": rf"^{not_zero}(0|[1-9][0-9]{{0,12}})(\.[0-9]{{1,2}})?$"}
    description = "Reais, no máximo duas casas decimais: número ou texto. / Amount, at most two decimals."
    return {"anyOf": [number, text], "description": description, "examples": [100.5, "100.50"]}


_ACCOUNT_TEXT: dict[str, Any] = {"type": "string", "pattern": ACCOUNT_ID.replace(r"\Z", "$"), "examples": ["maria"]}
_ACCOUNT: dict[str, Any] = {
    "anyOf": [_ACCOUNT_TEXT, {"type": "integer", "minimum": 0}],
    "description": "1 a 64 de A-Z a-z 0-9 . _ -, começando por letra ou dígito. / Account id.",
    "examples": ["maria", 5724],
}


MONEY = _amount_schema(0.01)
MONEY_OR_ZERO = _amount_schema(0)


def cents(value: object) -> int:
    """Return the centavos of an amount that came as digits or text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("deve ser um número ou texto decimal")  # noqa: TRY004 - pydantic reports ValueError
    try:
        return parse_cents(value)
    except ValueError:
        raise ValueError("deve ter a forma 100, 100.5 ou 100.50, no máximo 9999999999999.99") from None


def positive_cents(value: object) -> int:
    """Return the same, but not 0. Raises ValueError."""
    found = cents(value)
    if found == 0:
        raise ValueError("deve ser maior que 0")
    return found


def checked_account_id(value: object) -> str:
    """Return an account id; a JSON integer is taken as its text. Raises ValueError."""
    if isinstance(value, Digits) and not value.isdecimal():
        raise ValueError("deve ser texto, ou um inteiro")
    if not isinstance(value, str) or not re.search(ACCOUNT_ID, value):
        raise ValueError("deve ter 1 a 64 de A-Z a-z 0-9 . _ - e começar por letra ou dígito")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or isinstance(value, Digits):
        raise ValueError("deve ser texto")  # noqa: TRY004 - as above
    return value


def _holder(value: object) -> str:
    text = _text(value)
    if not re.search(HOLDER, text):
        raise ValueError("deve ter 1 a 200 caracteres, nenhum deles de controle")
    return text


Money = Annotated[int, BeforeValidator(positive_cents), WithJsonSchema(MONEY)]
MoneyOrZero = Annotated[int, BeforeValidator(cents), WithJsonSchema(MONEY_OR_ZERO)]
AccountIdText = Annotated[str, BeforeValidator(checked_account_id), WithJsonSchema(_ACCOUNT)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "pattern": r"^[^\x00]*$"})]
Holder = Annotated[
    str,
    BeforeValidator(_holder),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": HOLDER.replace(r"\Z", "$"),
            "minLength": 1,
            "maxLength": 200,
            "examples": ["Maria"],
        }
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewAccount(_Body):
    """Abertura de conta. / A new account."""

    id_conta: AccountIdText = Field(validation_alias=AliasChoices("id_conta", "id", "conta"))
    saldo: MoneyOrZero = Field(default=0, validation_alias=AliasChoices("saldo", "saldo_inicial"))
    titular: Holder | None = None
    limite: MoneyOrZero = 0


class Value(_Body):
    """Um depósito ou saque. / A deposit or withdrawal."""

    valor: Money


class TransferRequest(_Body):
    """Uma transferência; a conta de origem está no caminho. / A transfer."""

    conta_destino: AccountIdText = Field(
        validation_alias=AliasChoices("conta_destino", "id_destino", "id_conta_destino", "destino")
    )
    valor: Money
    servidor: Annotated[Text | None, Field(description="Aceito e ignorado se nomeia um nó deste livro.")] = None


class OtherServerOperation(_Body):
    """Um depósito ou saque pedido a outro servidor. / An operation to be asked of another server."""

    id_conta: AccountIdText = Field(validation_alias=AliasChoices("id_conta", "id", "conta"))
    valor: Money
    endereco_servidor: Text = Field(
        validation_alias=AliasChoices("endereco_servidor", "servidor"), examples=["banco-5001"]
    )
    tipo: Literal["deposito", "saque"] = "deposito"


class AccountPath(BaseModel):
    """The account named in the path."""

    id_conta: Annotated[str, BeforeValidator(checked_account_id), WithJsonSchema(_ACCOUNT_TEXT)]


def _whole(value: object) -> object:
    """Refuse what int() would take and nobody means: signs, underscores, blanks, other digits."""
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{1,18}", value):
            raise ValueError("deve ser um inteiro")
        return int(value)
    return value


_PageSize = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)]


class AccountsQuery(_Body):
    """A page of accounts."""

    depois: Annotated[str, Field(description="Começa depois deste id. / Begins after this id.")] = ""
    limite: _PageSize = 100


class StatementQuery(_Body):
    """A page of a statement."""

    antes: Annotated[
        Annotated[int, Field(ge=1, le=10**18 - 1)] | None,
        BeforeValidator(_whole),
        Field(description="O `anterior` da página mais nova."),
    ] = None
    limite: _PageSize = 100


def refuse_invalid(error: ValidationError) -> NoReturn:
    """Raise the problem that a failed validation is."""
    violacoes = [_violation(item) for item in error.errors(include_url=False, include_context=False)]
    names = ", ".join(dict.fromkeys(violation["propriedade"] for violation in violacoes))
    raise Problem("REQUISICAO_INVALIDA", f"Campos inválidos: {names}.", violacoes)


_REASONS = {
    "missing": "é obrigatório",
    "extra_forbidden": "é desconhecido ou repetido",
    "literal_error": "tem um valor que não é aceito",
    "greater_than_equal": "é pequeno demais",
    "less_than_equal": "é grande demais",
    "string_too_short": "é curto demais",
    "string_too_long": "é longo demais",
}


def _violation(item: Any) -> dict[str, str]:
    reason = _REASONS.get(item["type"]) or item["msg"].removeprefix("Value error, ")
    value = "" if item["type"] == "missing" else str(item["input"])[:100]
    return {"propriedade": str(item["loc"][0]) if item["loc"] else "corpo", "razao": reason, "valor": value}
