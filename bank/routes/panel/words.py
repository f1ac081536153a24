"""The panel's words: Portuguese as the templates say it, English by a table, amounts as people write them.

A text that the table lacks stays Portuguese (tests/integration/test_panel.py finds none among the templates').
"""

import json
from pathlib import Path
from typing import Any

from flask import g, request
from msgspec import Raw

from bank.money import format_cents

__all__ = ["LANGUAGES", "OPERATIONS", "cents_of", "chosen_language", "language", "reais", "translate"]

LANGUAGES = {"pt": "pt-BR", "en": "en"}
COOKIE = "idioma"

OPERATIONS = {
    "abertura": "Abertura",
    "deposito": "Depósito",
    "saque": "Saque",
    "transferencia": "Transferência",
    "lote": "Lote",
    "genesis": "Nascimento do livro",
    "entrada": "Entrada de um nó",
    "retirar": "Saída de um nó",
    "versao": "Nova versão dos registros",
    "reabertura": "Reabertura do livro",
    "recusa": "Recusa confirmada",
}

_ENGLISH: dict[str, str] = json.loads(Path(__file__).with_name("english.json").read_text(encoding="utf-8"))


def chosen_language() -> str | None:
    """Return the language that this request asks to be remembered."""
    asked = request.args.get("lang")
    return asked if asked in LANGUAGES else None


def language() -> str:
    """Return the language of this answer."""
    if "language" not in g:
        remembered = request.cookies.get(COOKIE)
        g.language = chosen_language() or (remembered if remembered in LANGUAGES else "pt")
    found: str = g.language
    return found


def translate(text: str, **values: object) -> str:
    """Return a text in the language of this answer, with `{name}` filled in."""
    found = _ENGLISH.get(text, text) if language() == "en" else text
    return found.format(**values) if values else found


def reais(amount: int | str | Raw) -> str:
    """Return centavos, or decimal text as the JSON routes write it, as people read it: `R$ 1.234,50`."""
    text = format_cents(amount) if isinstance(amount, int) else _text(amount)
    whole, _, fraction = text.removeprefix("-").partition(".")
    figure = f"{int(whole):,}.{fraction}"
    if language() == "pt":
        figure = figure.translate(str.maketrans(",.", ".,"))
    sign = "\N{MINUS SIGN}" if text.startswith("-") else ""
    sign = "\N{MINUS SIGN}" if text.startswith("-") else ""
    return f"{sign}R$\N{NO-BREAK SPACE}{figure}"


def cents_of(amount: Raw) -> int:
    """Return the centavos of an amount as the JSON routes write it: always two decimals."""
    return int(_text(amount).replace(".", ""))


def _text(amount: Any) -> str:
    return amount if isinstance(amount, str) else bytes(amount).decode()
