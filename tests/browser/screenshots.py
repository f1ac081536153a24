"""`make screenshots`: the pictures of the panel in docs/images, of three real nodes, large and small, by day and night.

The bank that they show is made here, operation by operation, so that it looks lived in.
"""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from bank.client import Bank, Refused
from tests.support.browser import open_browser, visit
from tests.support.cluster import Cluster, NodeProcess, eventually

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}
PEOPLE = {"ana": "Ana", "bruno": "Bruno", "carla": "Carla", "davi": "Davi", "elisa": "Elisa", "feira-livre": None}


def open_accounts(bank: Bank) -> None:
    """Open the accounts, and give one of them a past."""
    for place, (account, holder) in enumerate(PEOPLE.items()):
        bank.open(account, balance=f"{250 + 375 * place}.00", limit="100.00", owner=holder)
    for place, cents in enumerate([120_00, -45_50, -80_00, 310_25, -12_30, -200_00, 64_90, 18_75, -150_10, 500_00]):
        move = bank.deposit if cents > 0 else bank.withdraw
        move("ana", f"{abs(cents) // 100}.{abs(cents) % 100:02d}")
        bank.transfer("ana", to=list(PEOPLE)[1 + place % 5], amount=f"{7 + place}.40")


def stir(urls: list[str], enough: threading.Event) -> None:
    """Move money at all counters until it is enough."""
    with Bank(urls) as bank:
        names = list(PEOPLE)
        place = 0
        while not enough.wait(0.03 + 0.02 * (place % 7)):
            place += 1
            origin, to = names[place % 6], names[(place * 5 + 1) % 6]
            with suppress(Refused):
                bank.transfer(origin, to=to, amount=f"{1 + place % 9 * 4}.{place % 100:02d}")


def take(page: Page, name: str) -> None:
    """Take a picture of what a visitor sees first."""
    page.wait_for_load_state("load")
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} kB")


def photograph(browser: Browser, cluster: Cluster) -> None:
    """Take all pictures."""
    first, *_, last = cluster.nodes
    with visit(browser, f"{first.url}/", **DESKTOP) as page:
        expect(page.locator('[data-node] [data-agree="sim"]')).to_have_count(len(cluster.nodes))
        # Half a minute of the pulse, so that there is something to see.
        eventually(lambda: page.locator("#pulso .line").get_attribute("d").count("L") > 25, seconds=60, every=0.5)
        take(page, "rede")
        last.kill()
        expect(page.locator(f'[data-node="{last.name}"]')).to_have_attribute("data-state", "silencioso")
        take(page, "rede-sem-um-no")
        last.start().wait_ready()
        expect(page.locator(f'[data-node="{last.name}"]')).to_have_attribute("data-state", "pronto")
    for name, path in {
        "contas": "/painel/contas", "conta": "/painel/contas/ana", "ao-vivo": "/painel/ao-vivo",
        "auditoria": "/painel/auditoria",
    }.items():  # fmt: skip
        for suffix, context in {"": DESKTOP, "-celular": PHONE}.items():
            with visit(browser, first.url + path, **context) as page:
                if name == "ao-vivo":
                    expect(page.locator("#ligacao")).to_have_text("Ligado")
                take(page, name + suffix)
    for suffix, context in {"-celular": PHONE, "-noite": DESKTOP | {"color_scheme": "dark"}}.items():
        with visit(browser, f"{first.url}/", **context) as page:
            expect(page.locator('[data-node] [data-agree="sim"]')).to_have_count(len(cluster.nodes))
            take(page, f"rede{suffix}")


@contextmanager
def three_counters(folder: Path) -> Iterator[Cluster]:
    """Start the nodes that `make run` starts."""
    cluster = Cluster(folder, 0)
    cluster.nodes = [NodeProcess(folder, port=port) for port in (5000, 5001, 5002)]
    try:
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.wait_ready()
        yield cluster
    finally:
        for node in cluster.nodes:
            if node.is_running:
                node.kill()


def main() -> int:
    """Make the bank, stir it, take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        three_counters(Path(folder)) as cluster,
        open_browser() as browser,
        Bank(cluster.urls) as bank,
    ):
        open_accounts(bank)
        enough = threading.Event()
        customer = threading.Thread(target=partial(stir, cluster.urls, enough))
        customer.start()
        try:
            photograph(browser, cluster)
        finally:
            enough.set()
            customer.join(30)
    return 0


if __name__ == "__main__":
    sys.exit(main())
