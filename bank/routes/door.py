"""The door: the one place where JSON comes in and goes out.

Numbers are kept as they were written, digit by digit: no float is ever made of an amount of money. What
frameworks let through is refused here, once: duplicate keys, depth, bad UTF-8, NUL, lone surrogates, NaN, a body
of another type. Knows no route.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec
from flask import Request

from bank.routes.problems import Problem

__all__ = ["DEPTH_MAX", "BankRequest", "Digits", "dump_json", "parse_json"]

DEPTH_MAX = 32
_CONTENT_TYPE = re.compile(r'application/([a-z0-9.-]+\+)?json *(; *charset="?utf-8"?)? *', re.IGNORECASE)


class Digits(str):
    """A JSON number as it was written."""

    __slots__ = ()


class BankRequest(Request):
    """A request whose JSON goes through the door, also when a framework asks for it silently."""

    def get_json(self, *_args: object, **_options: object) -> Any:
        """Return the JSON object of the body. Raises Problem."""
        return parse_json(self._body())

    def checked_json(self) -> bytes:
        """Return the body as it came, for a decoder that knows the shape but lets twins through. Raises Problem."""
        body = self._body()
        _load(body, _CHECKED)
        return body

    def _body(self) -> bytes:
        if not _CONTENT_TYPE.fullmatch(self.headers.get("Content-Type", "")):
            raise Problem("TIPO_NAO_SUPORTADO", "Envie JSON; com curl: -H 'Content-Type: application/json'.")
        return self.get_data(cache=False)


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the object that the body holds: numbers as Digits. Raises Problem for everything else."""
    value = _load(body, _AS_WRITTEN)
    if not isinstance(value, dict):
        raise _malformed("O corpo deve ser um objeto JSON.")
    _look_through(value, depth=1)
    return value


def _load(body: bytes, decoder: json.JSONDecoder) -> Any:
    """Return what the body says. Raises Problem."""
    try:
        return decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise _malformed("O corpo não é UTF-8 válido.") from None
    except RecursionError:
        raise _malformed(f"O JSON tem mais de {DEPTH_MAX} níveis.") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"JSON malformado na posição {error.pos}.") from None


def _look_through(value: object, *, depth: int) -> None:
    """Refuse what JSON can say and no text of ours may hold."""
    if depth > DEPTH_MAX:
        raise _malformed(f"O JSON tem mais de {DEPTH_MAX} níveis.")
    if isinstance(value, str):
        if "\x00" in value or (
            not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value)
        ):
            raise _malformed("O texto contém um caractere nulo ou um substituto Unicode isolado.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _look_through(key, depth=depth)
            _look_through(item, depth=depth + 1)
    elif isinstance(value, list):
        for item in value:
            _look_through(item, depth=depth + 1)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _malformed("Um campo aparece duas vezes.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _malformed(f"{name} não é JSON.")


def _malformed(detail: str) -> Problem:
    return Problem("REQUISICAO_INVALIDA", detail)


def _decoder(number: Callable[[str], object]) -> json.JSONDecoder:
    """Return a decoder that makes of a number what `number` makes of its digits."""
    return json.JSONDecoder(
        parse_int=number,
        parse_float=number,
        parse_constant=_refuse_constant,
        object_pairs_hook=_without_twins,
    )


_AS_WRITTEN, _CHECKED = _decoder(Digits), _decoder(len)


def dump_json(content: Mapping[str, Any]) -> bytes:
    """Return JSON text; Digits and msgspec.Raw come out digit by digit."""
    return msgspec.json.encode(_raw(content))


def _raw(value: Any) -> Any:
    if isinstance(value, Digits):
        return msgspec.Raw(value.encode())
    if isinstance(value, Mapping):
        return {key: _raw(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_raw(item) for item in value]
    return value
