"""Pages for people beside the panel: the explanation of every problem, and the way to the routes. Without scripts."""

from flask import Blueprint, Response, redirect, render_template_string
from werkzeug.wrappers import Response as AnyResponse

from bank.routes.problems import CODIGOS, Problem, explanation, slug

__all__ = ["pages"]

pages = Blueprint("paginas", __name__)

_LAYOUT = """<!doctype html>
<html lang="pt-BR"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title></head>
<body><main><h1>{{ title }}</h1>
{% block content %}{% endblock %}
</main></body></html>"""

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
