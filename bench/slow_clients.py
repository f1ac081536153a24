"""What slow and idle clients cost the others: deposits a second without, with 200 slow and with 2,000 idle clients.

`.venv/bin/python bench/slow_clients.py` starts a node of its own and ends by itself after about a minute.
"""

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.cluster import NodeProcess
from tests.support.crawlers import Crawlers

ROUNDS = 5
SECONDS = 2.0
THREADS = 8


def deposits_per_second(node: NodeProcess) -> float:
    """Return the rate of THREADS customers over SECONDS."""
    counts = [0] * THREADS
    end = time.monotonic() + SECONDS

    def deposit(number: int) -> None:
        session = requests.Session()
        while time.monotonic() < end:
            answer = session.post(f"{node.url}/contas/A/deposito", json={"valor": 1}, timeout=30)
            assert answer.status_code == 200, answer.text
            counts[number] += 1

    threads = [threading.Thread(target=deposit, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def main() -> None:
    """Measure the three situations in turn, ROUNDS times."""
    with tempfile.TemporaryDirectory() as folder:
        node = NodeProcess(Path(folder)).start().wait_ready()
        try:
            node.post("/contas", {"id_conta": "A"})
            rates: dict[str, list[float]] = {"alone": [], "200 slow": [], "2000 idle": []}
            for _ in range(ROUNDS):
                for name, slow, idle in (("alone", 0, 0), ("200 slow", 200, 0), ("2000 idle", 0, 2_000)):
                    with Crawlers(node.port, slow=slow, idle=idle):
                        rates[name].append(deposits_per_second(node))
        finally:
            node.kill()
    alone = statistics.median(rates["alone"])
    print(f"{'clients':<12}{'deposits/s':>12}{'min-max':>16}{'ratio':>8}")
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{name:<12}{median:>12.0f}{min(found):>8.0f}-{max(found):<7.0f}{median / alone:>8.2f}")


if __name__ == "__main__":
    main()
