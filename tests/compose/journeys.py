"""Journeys through the bank in containers: `python -m tests.compose.journeys`, or `make test-compose`.

Not collected by pytest: it needs Docker, some minutes, and the ports 5000 to 5008. The one-broker file and the cluster
have journeys of their own; COMPOSE_FILE says which file it is.
"""

import time
from collections.abc import Callable
from functools import partial

import requests

from tests.compose.depositors import Depositors
from tests.compose.project import Project
from tests.support.cluster import eventually

STOP_S_MAX = 5
"""A bank ends by itself within this."""


def every_route_answers_at_every_bank(project: Project) -> str:
    """What the README shows works at each published port, and by each name that a node announces."""
    account = Depositors(project, size=0, accounts=1).accounts[0]
    for bank in project.banks:
        url = project.url(bank)
        assert requests.post(f"{url}/contas/{account}/deposito", json={"valor": "10.00"}, timeout=20).ok
        for other in project.banks:
            for name in (
                other,
                f"{other}:5000",
                project.url(other),
                project.url(other).replace("127.0.0.1", "localhost"),
            ):
                told = requests.get(f"{url}/saldo-outro-servidor/{account}/{name}", timeout=20)
                assert (told.status_code, told.json().get("servidor")) == (200, f"http://{other}:5000"), told.text
        for path in (f"/contas/{account}/extrato", "/auditoria", "/cluster", "/saude", "/saude/vivo", "/docs", "/"):
            assert requests.get(url + path, timeout=20).status_code == 200, url + path
    nodes = requests.get(f"{project.urls[0]}/cluster", timeout=20).json()["nos"]
    assert sorted(node["nome"] for node in nodes) == project.banks
    return f"{len(project.banks)} banks"


def a_bank_is_killed_and_started_again(project: Project) -> str:
    """The others go on; it catches up."""
    with Depositors(project).at_work() as customers:
        project.compose("kill", "banco-2")
        customers.wait_for(200)
        project.compose("start", "banco-2")
        project.wait_ready()
    assert customers.repeated > 0, "nobody noticed"
    return str(customers)


def a_bank_stops_in_order(project: Project) -> str:
    """SIGTERM reaches it in its container, and it ends by itself."""
    with Depositors(project).at_work() as customers:
        container = project.compose("ps", "-q", "banco-3").strip()
        project.compose("stop", "-t", str(STOP_S_MAX), "banco-3")
        assert project.exit_status(container) == 0, "it was killed, or failed"
        project.compose("start", "banco-3")
        project.wait_ready()
    return f"within {STOP_S_MAX} s; {customers}"


def the_broker_is_restarted(project: Project) -> str:
    """Once in order and once by a kill: writes wait, then all goes on."""
    with Depositors(project).at_work() as customers:
        project.compose("restart", "rabbitmq")
        customers.wait_for(50)
        project.compose("kill", "rabbitmq")
        project.compose("start", "rabbitmq")
        project.wait_ready()
    assert customers.repeated > 0, "nobody noticed"
    return str(customers)


def more_banks_join(project: Project) -> str:
    """One by its name, then all of them by their profile: they bring themselves up to date and serve."""
    with Depositors(project).at_work() as customers:
        project.compose("up", "-d", "--no-recreate", "banco-4")
        project.banks.append("banco-4")
        project.wait_ready()
        customers.wait_for(50)
        project.compose("--profile", "mais", "up", "-d", "--no-recreate")
        project.banks += [f"banco-{number}" for number in range(5, 10)]
        project.wait_ready()
    return f"{len(project.banks)} banks; {customers}"


def everything_is_taken_down_and_brought_up_again(project: Project) -> str:
    """The containers go, the volumes stay: the log and the journals are found again under their names."""
    with Depositors(project).at_work() as customers:
        project.banks = project.banks[:3]
        project.compose("--profile", "mais", "down")
        project.compose("up", "-d")
        project.wait_ready()
    assert customers.repeated > 0, "nobody noticed"
    return str(customers)


def the_log_has_three_replicas(project: Project) -> str:
    """The banks waited for the third broker."""

    def counted() -> bool:
        return all(project.get(url, "/cluster").get("livro", {}).get("replicas") == 3 for url in project.urls)

    eventually(counted, seconds=60, every=0.5)
    return "3 replicas"


def a_broker_is_killed(project: Project) -> str:
    """The log's leader: the other two choose another, and customers hardly notice."""
    with Depositors(project).at_work() as customers:
        leader = _leader(project)
        project.compose("kill", leader)
        customers.wait_for(200)
        project.compose("start", leader)
        customers.wait_for(50)
        the_log_has_three_replicas(project)
    assert customers.repeated > 0, "nobody noticed"
    return f"{leader}; {customers}"


def two_brokers_are_killed(project: Project) -> str:
    """No majority, no writes: they are refused, reads are marked, and all goes on when the majority is back."""
    with Depositors(project).at_work() as customers:
        project.compose("kill", "rabbitmq-1", "rabbitmq-2")
        for url in project.urls:
            eventually(partial(_says_no_log, project, url), seconds=60)
            marked = requests.get(f"{url}/contas/{customers.accounts[0]}", timeout=20)
            assert (marked.status_code, marked.headers.get("X-Defasada")) == (200, "sim"), marked.text
        project.compose("start", "rabbitmq-1", "rabbitmq-2")
        project.wait_ready()
    return str(customers)


def _says_no_log(project: Project, url: str) -> bool:
    return bool(project.get(url, "/saude").get("estado") == "sem_livro")


def _leader(project: Project) -> str:
    command = ("gosu", "rabbitmq", "rabbitmqctl", "-q", "list_queues", "--silent", "name", "leader")
    lines = project.compose("exec", "-T", "rabbitmq-1", *command).splitlines()
    return next(line.split("@")[1].strip() for line in lines if line.startswith("banco.livro"))


Journey = Callable[[Project], str]
ONE_BROKER: list[Journey] = [
    every_route_answers_at_every_bank,
    a_bank_is_killed_and_started_again,
    a_bank_stops_in_order,
    the_broker_is_restarted,
    more_banks_join,
    everything_is_taken_down_and_brought_up_again,
]
CLUSTER: list[Journey] = [
    the_log_has_three_replicas,
    every_route_answers_at_every_bank,
    a_bank_is_killed_and_started_again,
    a_broker_is_killed,
    two_brokers_are_killed,
    everything_is_taken_down_and_brought_up_again,
]


def main() -> None:
    """Make all journeys of the chosen file."""
    begun = time.monotonic()
    with Project.running() as project:
        print(f"up: {', '.join(project.services)} ({time.monotonic() - begun:.0f} s)", flush=True)
        for journey in CLUSTER if "rabbitmq-1" in project.services else ONE_BROKER:
            begun = time.monotonic()
            seen = journey(project)
            print(f"{journey.__name__.replace('_', ' ')}: {seen} ({time.monotonic() - begun:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
