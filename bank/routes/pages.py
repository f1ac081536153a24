"""Pages for people: the plain front page, and the explanation of every problem. HTML without scripts."""

from flask import Blueprint, Response, redirect, render_template_string
from werkzeug.wrappers import Response as AnyResponse

from bank.routes.answers import bank
from bank.routes.problems import CODIGOS, Problem, explanation, slug

__all__ = ["pages"]

pages = Blueprint("paginas", __name__)

_LAYOUT = """<!doctype html>
<html lang="pt-BR"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title></head>
<body><main><h1>{{ title }}</h1>
{% block content %}{% endblock %}
</main></body></html>"""

_HOME = _LAYOUT.replace(
    "{% block content %}{% endblock %}",
    """<p>Este é o nó <strong>{{ name }}</strong>, na posição {{ position }} do livro ({{ log }}).</p>
<ul>
<li><a href="/docs">As rotas, para ler e experimentar</a> (<a href="/openapi.json">OpenAPI</a>)</li>
<li><a href="/cluster">Os nós e o livro</a></li>
<li><a href="/contas">As contas</a></li>
<li><a href="/auditoria">Os livros do banco</a></li>
<li><a href="/saude">A saúde deste nó</a></li>
<li><a href="/problemas">O que os erros querem dizer</a></li>
</ul>
<h2>Os balcões</h2>
<ul>{% for node in nodes %}<li><a href="{{ node.addresses[0] }}/">{{ node.name }}</a>: {{ node.state }},
posição {{ node.position }}</li>{% endfor %}</ul>""",
)

_PROBLEM = _LAYOUT.replace(
    "{% block content %}{% endblock %}",
    """<p>{{ kind.explanation }}</p><p>Status {{ kind.status }}, código <code>{{ codigo }}</code>.</p>
<p><a href="/problemas">Todos os erros</a></p>""",
)

_PROBLEMS = _LAYOUT.replace(
    "{% block content %}{% endblock %}",
    """<dl>{% for codigo, kind in kinds.items() %}<dt><a href="/problemas/{{ slug(codigo) }}">{{ kind.title }}</a>
({{ kind.status }}, <code>{{ codigo }}</code>)</dt><dd>{{ kind.explanation }}</dd>{% endfor %}</dl>""",
)


@pages.get("/")
def home() -> str:
    """Show where everything is."""
    node = bank()
    return render_template_string(
        _HOME,
        title="Banco Distribuído",
        name=node.config.node_name,
        position=node.token().position,
        log=node.log_view().kind,
        nodes=node.nodes(),
    )


@pages.get("/problemas")
def list_problems() -> str:
    """Explain all problems."""
    return render_template_string(_PROBLEMS, title="O que os erros querem dizer", kinds=CODIGOS, slug=slug)


@pages.get("/problemas/<name>")
def show_problem(name: str) -> str:
    """Explain one problem."""
    found = explanation(name)
    if found is None:
        raise Problem("ROTA_NAO_ENCONTRADA")
    codigo, kind = found
    return render_template_string(_PROBLEM, title=kind.title, codigo=codigo, kind=kind)


@pages.get("/docs")
def docs() -> AnyResponse:
    """Show the routes, to read and to try."""
    return redirect("/docs/swagger")


@pages.after_request
def without_scripts(response: Response) -> Response:
    """Forbid these pages to run anything or to ask another host."""
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; img-src 'self'"
    return response
