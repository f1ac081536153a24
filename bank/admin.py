"""The operator's commands: `python -m bank.admin --help`. Reopen a lost log, retire a member, back up, restore.

They talk to running nodes over HTTP, with CLUSTER_KEY from the environment if the nodes have one; `restaurar` alone
works on files. Exit status: 0 done, 1 refused or failed (a sentence says why), 2 wrong usage.
"""

import argparse
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from bank.config import Config
from bank.errors import BankError
from bank.journal_copy import STAGED_NAME, adopt, examine
from replication.snapshot import KEY_HEADER, Peers

__all__ = ["main"]

DEFAULT_SERVER = "http://127.0.0.1:5000"
TIMEOUT_S = 30


class _CommandError(Exception):
    """Nothing was done, or not all; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        print(options.command(options))
    except (_CommandError, BankError, OSError, requests.RequestException) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bank.admin", description="Comandos do operador.")
    commands = parser.add_subparsers(required=True, metavar="COMANDO")

    def add(name: str, command: object, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(command=command)
        return sub

    def add_online(name: str, command: object, help_text: str) -> argparse.ArgumentParser:
        sub = add(name, command, help_text)
        sub.add_argument("--servidor", default=DEFAULT_SERVER, metavar="URL", help="um nó qualquer (%(default)s)")
        return sub

    sub = add_online(
        "reabrir", _reopen, "Faz continuar um livro perdido ou encurtado, a partir da história mais longa."
    )
    sub.add_argument("--sem", action="append", default=[], metavar="NOME", help="membro dado por perdido; repetível")
    sub = add_online("retirar", _retire, "Retira um membro que não volta mais.")
    sub.add_argument("nome", metavar="NOME")
    sub = add_online("ativar", _activate, "Ativa uma versão de registro que todos os membros sabem ler.")
    sub.add_argument("versao", type=int, metavar="VERSÃO")
    sub = add_online("copiar", _back_up, "Copia o diário de um nó em serviço, e confere a cópia.")
    sub.add_argument("arquivo", type=Path, metavar="ARQUIVO")
    sub = add("restaurar", _restore, "Põe uma cópia à espera do próximo início de um nó parado.")
    sub.add_argument("arquivo", type=Path, metavar="ARQUIVO")
    sub.add_argument("nome", metavar="NOME", help="o nó, por exemplo banco-5000")
    return parser


def _reopen(options: argparse.Namespace) -> str:
    nodes = _call("GET", options.servidor, "/cluster")["nos"]
    stopped = [node for node in nodes if node["estado"] == "livro_perdido"]
    if not stopped:
        raise _CommandError("O livro não está perdido: nenhum nó está no estado livro_perdido.")
    if any(node["estado"] == "pronto" for node in nodes):
        # The others went on: those that were left behind take their history, and bring their own home.
        said = [
            f"{node['nome']}: {_call('POST', node['enderecos'][0], '/cluster/retorno', {})['mensagem']}"
            for node in stopped
        ]
        return "\n".join(said)
    longest = min(stopped, key=lambda node: (-node["posicao"], node["nome"]))
    answer = _tell(longest, "/cluster/reabertura", {"sem": options.sem})
    return f"{answer['mensagem']} A partir de {longest['nome']}, posição {answer['posicao']}."


def _retire(options: argparse.Namespace) -> str:
    return str(_call("POST", options.servidor, "/cluster/retirada", {"banco": options.nome})["mensagem"])


def _activate(options: argparse.Namespace) -> str:
    return str(_call("POST", options.servidor, "/cluster/versao", {"versao": options.versao})["mensagem"])


def _back_up(options: argparse.Namespace) -> str:
    if options.arquivo.exists():
        raise _CommandError(f"{options.arquivo} já existe.")
    part = options.arquivo.with_name(options.arquivo.name + ".part")
    peers = Peers(_key(), threading.Event())
    peers.fetch(options.servidor, part, lambda _came, _total: None)
    state, digest = examine(part)
    said = peers.digests(options.servidor, state.position)
    if said != (state.chain.hex(), digest.hex()):
        raise _CommandError(f"A cópia não confere com {options.servidor} na posição {state.position}: {said}.")
    part.rename(options.arquivo)
    return f"{options.arquivo}: posição {state.position}, resumo_estado {digest.hex()}, conferida com o nó."


def _restore(options: argparse.Namespace) -> str:
    state, digest = examine(options.arquivo)
    folder = Config.from_environment().data_dir / options.nome
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "entrada.part"
    shutil.copyfile(options.arquivo, part)
    adopt(part, node=options.nome)
    part.rename(folder / STAGED_NAME)
    return f"{folder}: o próximo início parte da posição {state.position}, resumo_estado {digest.hex()}."


def _key() -> str:
    return Config.from_environment().cluster_key


def _tell(node: dict[str, Any], path: str, body: Any) -> Any:
    """Send to a node, at the first of its addresses that can be reached from here."""
    for address in node["enderecos"]:
        with suppress(requests.ConnectionError):
            return _call("POST", address, path, body)
    raise _CommandError(f"{node['nome']} não responde em {', '.join(node['enderecos'])}.")


def _call(method: str, server: str, path: str, body: Any = None) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(
            method, server.rstrip("/") + path, json=body, headers={KEY_HEADER: _key()}, timeout=TIMEOUT_S
        )
    try:
        content = answer.json()
    except ValueError:
        raise _CommandError(f"{server} não é um nó do banco.") from None
    if not answer.ok:
        raise _CommandError(f"{server}: {content.get('mensagem', answer.status_code)}")
    return content


if __name__ == "__main__":
    sys.exit(main())
