"""Import movements from a CSV file: `python -m bank.importer FILE.csv --servidor http://127.0.0.1:5000`.

Many connections, several servers; a server that fails rests while the others go on. Whatever is not settled is asked
again under the same key, so nothing is done twice: not after a lost answer, not when the import was interrupted
and is run again. What may go out when is decided in `import_plan`, what an answer means in `import_client`.
Speaks to the bank by HTTP like any other client.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bank.client.servers import Servers
from bank.import_client import Again, NotABank, Settled, ask, ask_all
from bank.import_plan import BadFile, Order, Schedule, plan
from bank.money import parse_cents

__all__ = ["Importer", "main"]

STOP_S_MAX = 3.0
HOW_TO_GO_ON = "Para continuar, repita o mesmo comando: o que já foi feito não é feito outra vez."
EXISTS = {"CONTA_JA_EXISTE", "CHAVE_REUTILIZADA"}
"""Refusals of an opening that say the account is there: opened by others, or by this series with another limit."""


class Importer:
    """Brings a list of orders to the bank, each to its final word."""

    def __init__(
        self,
        orders: list[Order],
        servers: Servers,
        *,
        connections: int,
        patience_s: float,
        batch: int = 1,
        credential: str | None = None,
    ) -> None:
        """Let each connection ask for `batch` orders at once, at most; a bank with tokens asks for a credential."""
        self.settled: Counter[tuple[bool, Settled]] = Counter()
        """How many openings (True) and lines (False) came to which end."""
        self.lines = sum(not order.opens for order in orders)
        self.trouble = ""
        """Why the bank is not answering just now; or, once this gave up, why it did."""
        self._schedule = Schedule(orders)
        self._servers = servers
        self._connections = connections
        self._batch = batch
        self._headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._progress_at_s = time.monotonic()

    @property
    def lines_settled(self) -> int:
        """How many lines have their final word."""
        with self._changed:
            return sum(n for (opens, _), n in self.settled.items() if not opens)

    def run(self, watch: Callable[[], None]) -> bool:
        """Bring all orders to the bank and return True, or False after giving up; calls `watch` now and then.

        Ends early and cleanly when `watch` raises (or Ctrl-C does): what is on its way then may still be applied.
        """
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self._connections)]
        self._progress_at_s = time.monotonic()
        for worker in workers:
            worker.start()
        try:
            while not self._stopping.wait(0.1) and self._schedule.unsettled:
                watch()
                if time.monotonic() - self._progress_at_s > self._patience_s:
                    self._give_up(
                        f"nada avançou em {self._patience_s:g} s; {self.trouble or 'nenhum servidor responde'}"
                    )
        finally:
            self._stopping.set()
            with self._changed:
                self._changed.notify_all()
            deadline_s = time.monotonic() + STOP_S_MAX
            for worker in workers:
                worker.join(max(0.0, deadline_s - time.monotonic()))
        watch()
        return not self._schedule.unsettled

    def _work(self) -> None:
        """One connection to each server, and one request at a time. The outermost loop of a thread."""
        sessions: dict[str, requests.Session] = {}
        try:
            while orders := self._take():
                for order, word in self._settle(orders, sessions):
                    self._note(order, word)
        except NotABank as error:
            self._give_up(str(error))
        except Exception as error:  # noqa: BLE001 (a thread must not end unheard)
            self._give_up(f"erro no importador: {error!r}")
        finally:
            for session in sessions.values():
                session.close()

    def _take(self) -> list[Order]:
        """Wait for orders that are ready, as many as go into a request; none when there is nothing left to do."""
        orders: list[Order] = []
        with self._changed:
            while not orders and not self._stopping.is_set() and self._schedule.unsettled:
                while len(orders) < self._batch and (order := self._schedule.take()) is not None:
                    orders.append(order)
                if not orders:
                    self._changed.wait(1.0)
        return orders

    def _note(self, order: Order, word: Settled) -> None:
        if order.opens and word.refusal in EXISTS:
            word = Settled("", replayed=True)
        with self._changed:
            self.settled[order.opens, word] += 1
            self._schedule.settle(order)
            self._progress_at_s = time.monotonic()
            self.trouble = ""
            self._changed.notify_all()

    def _settle(self, orders: list[Order], sessions: dict[str, requests.Session]) -> Iterator[tuple[Order, Settled]]:
        """Ask until the bank has a final word on each, or until told to stop."""
        while orders:
            url, wait_s = self._servers.pick(time.monotonic())
            if self._stopping.wait(wait_s) if wait_s else self._stopping.is_set():
                return
            if url not in sessions:
                sessions[url] = requests.Session()
                sessions[url].trust_env = False  # a server that was named is asked itself, not a proxy
                sessions[url].headers.update(self._headers)
            words = ask_all(sessions[url], url, orders) if self._batch > 1 else [ask(sessions[url], url, orders[0])]
            yield from ((order, word) for order, word in zip(orders, words, strict=True) if isinstance(word, Settled))
            open_words = [word for word in words if isinstance(word, Again)]
            if not open_words:
                self._servers.answered(url)
                return
            orders = [order for order, word in zip(orders, words, strict=True) if isinstance(word, Again)]
            self._servers.failed(url, time.monotonic(), open_words[0].wait_s)
            self.trouble = open_words[0].trouble

    def _give_up(self, reason: str) -> None:
        with self._changed:
            if not self._stopping.is_set():
                self.trouble = reason
                self._stopping.set()
            self._changed.notify_all()


def main(arguments: list[str] | None = None, credential: str | None = None) -> int:
    """Run the command; return its exit status: 0 all settled, 1 given up, 2 nothing was sent, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        orders = plan(options.arquivo.read_bytes(), series=options.serie, limit_cents=options.limite)
    except OSError as error:
        print(f"{options.arquivo}: {error.strerror}", file=sys.stderr)
        return 2
    except BadFile as error:
        print(*error.problems, f"{options.arquivo}: nada foi enviado.", sep="\n", file=sys.stderr)
        return 2
    servers = Servers([url.rstrip("/") for url in options.servidor or ["http://127.0.0.1:5000"]])
    work = Importer(
        orders,
        servers,
        connections=options.conexoes,
        patience_s=options.prazo,
        batch=options.lote,
        credential=credential,
    )
    console = Console(markup=False, highlight=False, soft_wrap=True)
    status = _run_watched(work, console)
    console.print(_table(work))
    missing = work.lines - work.lines_settled
    if status == 0:
        console.print(f"Tudo resolvido: {work.lines} linhas.")
    else:
        reason = "Interrompido." if status == 130 else f"Parado: {work.trouble}."
        console.print(f"{reason} Faltam {missing} de {work.lines} linhas. {HOW_TO_GO_ON}")
    return status


def _run_watched(work: Importer, console: Console) -> int:
    """Run with a progress bar; return the exit status."""
    columns = (
        TextColumn("Importando", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[trouble]}", markup=False),
    )
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=work.lines, trouble="")
            done = work.run(lambda: progress.update(task, completed=work.lines_settled, trouble=work.trouble))
    except KeyboardInterrupt:
        return 130
    return 0 if done else 1


def _table(work: Importer) -> Table:
    """Return what came of the lines and of the accounts: done now, or known to the bank already."""
    table = Table("Resultado", "agora", "repetidas", "total", title="Importação")
    for column in table.columns[1:]:
        column.justify = "right"
    refusals = sorted({word.refusal for opens, word in work.settled if not opens and word.refusal})
    rows = [("aplicadas", False, ""), *((f"recusadas: {code}", False, code) for code in refusals)]
    rows.append(("contas abertas (repetidas: já existiam)", True, ""))
    rows += [
        (f"contas não abertas: {word.refusal}", True, word.refusal)
        for opens, word in work.settled
        if opens and word.refusal
    ]
    for name, opens, refusal in dict.fromkeys(rows):
        counts = [work.settled[opens, Settled(refusal, replayed)] for replayed in (False, True)]
        table.add_row(name, *map(str, counts), str(sum(counts)))
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bank.importer", description="Importa movimentos de um arquivo CSV."
    )
    parser.add_argument("arquivo", type=Path, help="colunas: conta, op, valor; opcionais: conta_destino, id")
    parser.add_argument("--servidor", action="append", type=_url, help="endereço de um nó; pode ser repetido")
    parser.add_argument(
        "--limite", type=_cents, default=0, help="limite (cheque especial) das contas que forem abertas"
    )
    parser.add_argument("--serie", help="nome da origem de um arquivo que cresce; sem ele, vale o conteúdo do arquivo")
    parser.add_argument("--conexoes", type=_whole(256), default=16, help="pedidos ao mesmo tempo (16)")
    parser.add_argument("--lote", type=_whole(10_000), default=1, help="operações por pedido, no máximo (1)")
    parser.add_argument("--prazo", type=_seconds, default=60.0, help="segundos sem nenhum avanço até desistir (60)")
    return parser


def _url(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError(f"{text!r} não é um endereço como http://127.0.0.1:5000")
    return text


def _cents(text: str) -> int:
    try:
        return parse_cents(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} não é um valor como 1234.56") from None


def _whole(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} não é um número de 1 a {most}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} não é um número de segundos")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
