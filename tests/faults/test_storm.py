"""Storms that fit into `make test`; `make test-faults` lets longer ones rage. And: a false word in one is found."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.faults.storm import Storm, damage_of
from tests.support.broker import Broker
from tests.support.calamities import kinds_of, plan_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OPERATIONS_MIN = 200


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Storm:
    """A storm over the embedded log that has passed."""
    storm = Storm(tmp_path_factory.mktemp("storm"), "embutido", plan_of(1, kinds_of("embutido"), 8, 1.5))
    storm.run()
    return storm


def assert_unhurt(storm: Storm) -> None:
    damage = damage_of(storm.history, storm.entries, disagreements=storm.disagreements)
    assert damage.is_none, damage
    assert sum(event.outcome == "ok" and event.op != "read" for event in storm.history) > OPERATIONS_MIN


def test_nodes_killed_paused_and_stopped_keep_every_promise(storm: Storm) -> None:
    assert_unhurt(storm)


def test_a_broker_and_links_that_fail_make_nodes_break_no_promise(tmp_path: Path, broker: Broker) -> None:
    """The session's broker shows that there is RabbitMQ; the storm breaks one of its own."""
    kinds = ["broker killed", "broker paused", "link stalled", "link deaf"]
    storm = Storm(tmp_path, "rabbitmq", plan_of(1, kinds, 4, 2.0))
    storm.run()
    assert_unhurt(storm)


def test_one_false_balance_in_a_storm_is_found_by_judge_and_journal(storm: Storm) -> None:
    place, event = next(
        (place, event)
        for place, event in enumerate(storm.history)
        if event.op == "deposit" and event.outcome == "ok" and not event.replayed
    )
    false = replace(event, balance_cents=(event.balance_cents or 0) + 1)
    damage = damage_of([*storm.history[:place], false, *storm.history[place + 1 :]], storm.entries)
    assert (damage.lost, damage.verdict.word) == (1, "invalid")


def test_what_the_journal_forgot_is_lost_and_what_it_did_twice_is_double(storm: Storm) -> None:
    moved = [place for place, entry in enumerate(storm.entries) if entry["op"] == "deposito" and not entry["recusa"]]
    entry = storm.entries[moved[0]]
    assert damage_of(storm.history, [other for other in storm.entries if other is not entry]).lost > 0
    assert damage_of(storm.history, [*storm.entries, entry]).double == 1


def test_the_same_seed_draws_the_same_plan() -> None:
    kinds = kinds_of("rabbitmq-3")
    assert plan_of(7, kinds, 40, 12.0) == plan_of(7, kinds, 40, 12.0) != plan_of(8, kinds, 40, 12.0)
    assert {fault.kind for fault in plan_of(7, kinds, len(kinds), 12.0)} == set(kinds)
