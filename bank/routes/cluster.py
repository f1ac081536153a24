"""The node and its peers: cluster, books, health, and what became of an operation."""

from typing import Any

from flask import Response, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from bank.metrics import CONTENT_TYPE
from bank.money import format_cents
from bank.operations import SCOPE_END
from bank.routes.access import known_as, may_see, may_see_who
from bank.routes.answers import bank, instant, json_answer, outcome_fields
from bank.routes.problems import Problem, problem_fields
from bank.views import Health

__all__ = ["cluster"]

cluster = APIBlueprint("rede", __name__, abp_tags=[{"name": "rede"}])

SENTENCES = {
    "pronto": "O nó aceita operações.",
    "iniciando": "O nó está se ligando ao livro.",
    "atrasado": "O nó está atrasado em relação ao livro.",
    "entrando": "O nó está copiando o diário de outro.",
    "relogio": "O relógio deste nó difere do dos outros.",
    "sem_livro": "O livro não responde.",
    "livro_perdido": "O livro foi trocado ou perdeu o seu fim; nada foi sobrescrito.",
    "divergente": "O conteúdo deste nó contradiz o dos outros.",
    "falha": "O nó falhou e não aceita mais nada.",
    "parando": "O nó está parando.",
}


class _OperationPath(BaseModel):
    id_operacao: str = Field(min_length=1, max_length=255, description="A Idempotency-Key, ou o id dado pelo banco.")


@cluster.get("/operacoes/<path:id_operacao>", summary="O resultado de uma operação / What became of an operation")
def show_operation(path: _OperationPath) -> Response:
    """404 while this node knows none, which proves nothing: only repeating the key settles it."""
    history, key = bank().history, path.id_operacao
    entry = history.entry(known_as(key)) or (history.entry(key) if SCOPE_END not in key else None)
    if entry is None or not may_see(entry.operation):
        raise Problem("OPERACAO_NAO_ENCONTRADA", "Este nó não conhece a operação.")
    fields = outcome_fields(entry, with_who=may_see_who())
    return json_answer({"sucesso": True, "mensagem": "Operação encontrada."} | fields)


@cluster.get("/cluster", summary="O livro e os nós / The log and the nodes")
def show_cluster() -> Response:
    """The log in use and its state; every node that is heard, this one included."""
    view = bank().log_view()
    livro = {
        "tipo": view.kind,
        "estado": view.state,
        "id": view.log_id,
        "epoca": view.epoch,
        "replicas": view.replicas,
    }
    nos = [
        {
            "nome": node.name,
            "enderecos": list(node.addresses),
            "posicao": node.position,
            "atraso": node.lag_ms,
            "estado": node.state,
            "resumo_historico": node.chain,
            "resumo_estado": node.digest,
            "visto": instant(node.seen_ms),
        }
        for node in bank().nodes()
    ]
    return json_answer({"sucesso": True, "mensagem": f"{len(nos)} nó(s).", "livro": livro, "nos": nos})


@cluster.get("/auditoria", summary="Os livros do banco / The books")
def show_books() -> Response:
    """Totals kept operation by operation beside the sum over all accounts; `confere` says whether they agree."""
    books = bank().history.books()
    content = {
        "sucesso": True,
        "mensagem": "Os livros conferem." if books.agree else "Os livros não conferem.",
        "contas": books.accounts,
        "soma_saldos": format_cents(books.balances_cents),
        "depositos": format_cents(books.deposited_cents),
        "saques": format_cents(books.withdrawn_cents),
        "epoca": books.token.epoch,
        "posicao": books.token.position,
        "resumo_historico": books.chain,
        "resumo_estado": books.digest,
        "confere": books.agree,
    }
    return json_answer(content, 200, {"X-Posicao": str(books.token)})


@cluster.get("/saude", summary="A saúde deste nó / This node's health")
def show_health() -> Response:
    """200 if the node lives and accepts operations, else 503, with the reasons."""
    health = bank().health()
    return _health(health, is_good=health.ready)


@cluster.get("/saude/vivo", summary="O processo vive? / Is it alive?")
def show_alive() -> Response:
    """503: restart it."""
    health = bank().health()
    return _health(health, is_good=health.alive)


@cluster.get("/saude/pronto", summary="O nó aceita operações? / Does it accept operations?")
def show_ready() -> Response:
    """503: send customers to another node."""
    health = bank().health()
    return _health(health, is_good=health.ready)


@cluster.get("/metrics", summary="Os números deste nó, para o Prometheus / This node's numbers, for Prometheus")
def show_metrics() -> Response:
    """Answered in every state of the node; docs/OPERATIONS.md explains each number."""
    return Response(bank().metrics.text(), content_type=CONTENT_TYPE)


_CODIGO_OF_STATE = {
    "sem_livro": "REPLICACAO_INDISPONIVEL",
    "livro_perdido": "REPLICACAO_INDISPONIVEL",
    "divergente": "NO_DIVERGENTE",
}


def _health(health: Health, *, is_good: bool) -> Response:
    content: dict[str, Any] = {"sucesso": is_good, "mensagem": SENTENCES[health.state]}
    if not is_good:
        problem = Problem(_CODIGO_OF_STATE.get(health.state, "NO_NAO_PRONTO"), SENTENCES[health.state])
        content = problem_fields(problem, instance=request.path)
    content |= {
        "estado": health.state,
        "vivo": health.alive,
        "pronto": health.ready,
        "motivos": health.reasons,
        "linhas": health.threads,
        "detalhes": health.details,
    }
    if is_good:
        return json_answer(content)
    answer = json_answer(content, 503, {"Retry-After": "1"})
    answer.content_type = "application/problem+json"
    return answer
