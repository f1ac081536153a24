"""Pages for people beside the panel, in its frame: the explanation of every problem, and the way to the routes."""

from flask import Blueprint, redirect, render_template
from werkzeug.wrappers import Response as AnyResponse

from bank.routes.panel.frame import guard, words
from bank.routes.problems import CODIGOS, Kind, Problem, explanation, slug

__all__ = ["pages"]

pages = Blueprint("paginas", __name__)
pages.after_request(guard)


@pages.get("/problemas")
def list_problems() -> str:
    """Explain all problems."""
    return _explained("O que os erros querem dizer", CODIGOS)


@pages.get("/problemas/<name>")
def show_problem(name: str) -> str:
    """Explain one problem."""
    found = explanation(name)
    if found is None:
        raise Problem("ROTA_NAO_ENCONTRADA")
    codigo, kind = found
    return _explained(kind.title, {codigo: kind})


def _explained(title: str, kinds: dict[str, Kind]) -> str:
    return render_template("painel/problemas.html", title=title, kinds=kinds, slug=slug, **words())


@pages.get("/docs")
def docs() -> AnyResponse:
    """Show the routes, to read and to try."""
    return redirect("/docs/swagger")
