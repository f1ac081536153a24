"""What customers saw, attempt by attempt, and whether the bank's own history explains it; the judge asks for less."""

from collections.abc import Callable, Container
from typing import Any

from tests.judge.history import Event
from tests.simulation.scheduler import Scheduler
from tests.support.naive import NaiveBank

__all__ = ["History"]


class History:
    """Grows while a run goes on."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.events: list[dict[str, Any]] = []

    def begin(self, **fields: Any) -> dict[str, Any]:
        """Note that somebody asks."""
        event = {"begin": self._scheduler.now_ns, "end": None, "outcome": "unknown"} | fields
        self.events.append(event)
        return event

    def end(self, event: dict[str, Any], **fields: Any) -> None:
        """Note what they were told."""
        event |= fields | {"end": self._scheduler.now_ns}
        told = " ".join(
            str(fields[name])
            for name in ("outcome", "code", "balance_cents", "consistency")
            if fields.get(name) is not None
        )
        asked = " ".join(
            str(event[name])
            for name in ("op", "id", "account", "counterpart", "amount_cents")
            if event.get(name) is not None
        )
        self._scheduler.note(f"{event['client']} at {event['node']}: {asked} -> {told}")

    def judged(self) -> list[Event]:
        """Return it as the judge reads it."""
        return [Event(**event) for event in self.events]

    def _outcomes(self) -> dict[str, set[str]]:
        outcomes: dict[str, set[str]] = {}
        for event in self.events:
            if event["op"] != "read":
                outcomes.setdefault(event["id"], set()).add(event["outcome"])
        return outcomes

    def explain(
        self, naive: NaiveBank, *, came_home: Container[str], excused: Container[str],
        check: Callable[[object, str], None],
    ) -> None:  # fmt: skip
        """Check every final answer against what the history made of its operation.

        What came home from a lost log keeps its outcome, and not always the balance that it led to.
        """
        for operation_id, outcomes in self._outcomes().items():
            is_promised = outcomes == {"not_applied"}
            check(not (is_promised and operation_id in naive.results), f"{operation_id}: not applied, it was said")
        for event in self.events:
            if event["op"] == "read" or event["outcome"] not in {"ok", "refused"} or event["id"] in excused:
                continue
            if event.get("code") == "CHAVE_REUTILIZADA":
                continue
            told = event["code" if event["outcome"] == "refused" else "balance_cents"]
            kept = naive.results.get(event["id"])
            if isinstance(kept, int) and event["outcome"] == "ok" and (told is None or event["id"] in came_home):
                continue
            check(told == kept, f"{event['id']} was answered {told!r}, and the history has {kept!r}: {event}")
