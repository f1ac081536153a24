"""The bank in containers with tokens: `python -m tests.compose.locked`, run by `make test-compose`.

It wants COMPOSE_FILE to name docker-compose.tokens.yml too and CLUSTER_KEY to be set, and makes the tokens that the
banks read.
"""

import sys

import requests

from bank.tokens.principals import Role
from tests.compose.project import Project
from tests.support.cluster import ROOT
from tests.support.doors import Tokens, bearer


def main() -> int:
    """Ask without a token and with one, at every bank; return the exit status."""
    folder = ROOT / "tokens"
    tokens = Tokens(folder)
    folder.chmod(0o755)
    tokens.path.chmod(0o644)
    with Project.running() as project:
        first, *others = project.urls
        shown = bearer(tokens.of["operador"])
        for url in project.urls:
            refused = requests.get(f"{url}/contas", timeout=20)
            assert refused.status_code == 401, refused.text
            assert requests.get(f"{url}/saude", timeout=20).status_code == 200
        opened = requests.post(f"{first}/contas", json={"id_conta": "ana", "saldo": 10}, headers=shown, timeout=20)
        assert opened.status_code in {201, 409}, opened.text
        for url in others:
            seen = requests.get(f"{url}/contas/ana", headers=shown, timeout=20)
            assert seen.status_code == 200, seen.text
        late = tokens.add("late", Role.AUDITOR)
        for url in project.urls:
            assert requests.get(f"{url}/auditoria", headers=bearer(late), timeout=20).json()["confere"]
    print("with tokens: 3 banks ask who comes, and take a token that was made meanwhile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
