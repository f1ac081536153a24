"""What all pages of the panel share: who may post, the security headers, the language, and errors in words."""

from urllib.parse import urlencode, urlsplit

import uuid_utils
from flask import Blueprint, Response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from bank.errors import NotAccepted, OutcomeUnknown
from bank.routes.answers import bank
from bank.routes.panel.accounts import accounts
from bank.routes.panel.audit import audit
from bank.routes.panel.network import network
from bank.routes.panel.refusals import as_problem
from bank.routes.panel.words import COOKIE, LANGUAGES, chosen_language, language, reais, translate
from bank.routes.problems import Problem
from locks.bakery import LockTimeout

__all__ = ["panel"]

panel = Blueprint(
    "painel", __name__, template_folder="templates", static_folder="static", static_url_path="/painel/static"
)
panel.register_blueprint(network)
panel.register_blueprint(accounts)
panel.register_blueprint(audit)

_POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
_YEAR_S = 365 * 24 * 3600


@panel.before_request
def refuse_other_sites() -> None:
    """Refuse a form that another site sent in the visitor's name. Browsers say where a form comes from."""
    if request.method != "POST":
        return
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    # The host alone: behind a proxy that ends TLS, the scheme is not the one that the browser sees.
    if site != "same-origin" or (origin is not None and urlsplit(origin).netloc != request.host):
        raise Problem("NAO_AUTORIZADO", "O formulário veio de outro site. Nada foi feito.")


@panel.after_request
def guard(response: Response) -> Response:
    """Allow a page what this host serves and nothing else, and remember the language that was chosen."""
    response.headers["Content-Security-Policy"] = _POLICY
    if request.endpoint != "painel.static":
        # A page that comes back from a cache would bring back a key that is used up.
        response.cache_control.no_store = True
        if (chosen := chosen_language()) is not None:
            response.set_cookie(COOKIE, chosen, max_age=_YEAR_S, httponly=True, samesite="Lax")
    return response


@panel.context_processor
def words() -> dict[str, object]:
    """Give the templates their words, and what the frame shows."""
    other = "pt" if language() == "en" else "en"
    return {
        "t": translate,
        "reais": reais,
        "language": LANGUAGES[language()],
        "other_language": other,
        "other_language_url": f"{request.path}?{urlencode(request.args.to_dict() | {'lang': other})}",
        "new_key": lambda: str(uuid_utils.uuid7()),
        "node_name": bank().config.node_name,
    }


@panel.errorhandler(Problem)
@panel.errorhandler(NotAccepted)
@panel.errorhandler(OutcomeUnknown)
@panel.errorhandler(LockTimeout)
def explain(error: Exception) -> AnyResponse:
    """Say in words what the JSON routes say as a problem."""
    problem = as_problem(error)
    page = render_template("painel/problema.html", problem=problem)
    return Response(page, problem.kind.status, problem.headers)
