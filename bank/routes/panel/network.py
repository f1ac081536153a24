"""What the nodes do: the network with the books, and what is applied, live."""

from flask import Blueprint, Response, render_template

from bank.routes.answers import bank, instant, json_answer, outcome_fields
from bank.routes.cluster import SENTENCES
from bank.routes.panel.words import OPERATIONS, translate
from bank.routes.problems import CODIGOS

__all__ = ["network"]

network = Blueprint("rede", __name__)

EVENTS_SHOWN = 40
_LOG_KINDS = {"embutido": "Embutido, nesta máquina", "rabbitmq": "RabbitMQ", "memoria": "Em memória"}
_LOG_STATES = {
    "conectado": "Conectado",
    "iniciando": "Ligando-se",
    "sem_livro": "Não responde",
    "livro_perdido": "Trocado ou cortado",
}


@network.get("/")
def show_network() -> str:
    """Show the log, the books and every node; the sum over all accounts is for `/auditoria`, not for a page."""
    return render_template(
        "painel/rede.html",
        livro=bank().log_view(),
        books=bank().history.books(counted=False),
        nodes=bank().nodes(),
        agreement=_agreement(),
        instant=instant,
        sentences=SENTENCES,
        log_kinds=_LOG_KINDS,
        log_states=_LOG_STATES,
        words={
            "estados": {state: translate(sentence) for state, sentence in SENTENCES.items()},
            "livro": {state: translate(word) for state, word in _LOG_STATES.items()},
            "este": {True: translate("Confere com os outros"), False: translate("Difere de outro")},
            "outro": {True: translate("Confere com este balcão"), False: translate("Difere deste balcão")},
            "silencio": translate("Silencioso: este nó não é mais ouvido."),
            "surdo": translate("Este balcão não responde. O que se vê é de antes; tenta-se de novo."),
            "livros_conferem": translate("Os livros conferem"),
            "livros_diferem": translate("Os livros não conferem"),
        },
    )


def _agreement() -> dict[str, bool]:
    """Return what this node found when it compared the others' heartbeats with its own history; it agrees with itself.

    Nodes are heard at different moments, so what they say is seldom of one position while money moves.
    """
    found = bank().agreement()
    return found | {bank().config.node_name: all(found.values())} if found else {}


@network.get("/painel/pulso")
def show_pulse() -> Response:
    """How many entries there are (what was settled between two looks is the difference), and which nodes agree."""
    feed = bank().feed
    count = feed.number_at(feed.now())
    content = {"sucesso": True, "mensagem": f"{count} lançamento(s).", "lancamentos": count}
    return json_answer(content | {"acordo": _agreement()})


@network.get("/painel/ao-vivo")
def show_live() -> str:
    """Show the last entries; the page's module goes on from their mark with `/eventos`."""
    feed = bank().feed
    mark = feed.now()
    number = feed.number_at(mark)
    told = [(str(behind), outcome_fields(entry)) for behind, entry in feed.after(max(0, number - EVENTS_SHOWN))]
    return render_template(
        "painel/ao_vivo.html",
        events=[fields for _, fields in reversed(told)],
        mark=told[-1][0] if told else str(mark),
        operations=OPERATIONS,
        codigos=CODIGOS,
        words={
            "operacoes": {op: translate(word) for op, word in OPERATIONS.items()},
            "codigos": {codigo: translate(kind.title) for codigo, kind in CODIGOS.items()},
            "aplicada": translate("aplicada"),
            "ligado": translate("Ligado"),
            "pausado": translate("Em pausa"),
            "cheio": translate("Há leitores demais neste nó; tenta-se de novo em {seconds} s"),
            "caiu": translate("Sem ligação com o nó; tenta-se de novo em {seconds} s"),
            "pausar": translate("Pausar"),
            "continuar": translate("Continuar"),
        },
    )
