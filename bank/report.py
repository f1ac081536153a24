"""What a node tells of itself: its health, the log it follows, the nodes it hears."""

from bank.desk import Desk, clock_ms, monotonic_ms
from bank.replica import Replica
from bank.views import Health, LogView, NodeView

__all__ = ["health", "log_view", "nodes"]


def health(desk: Desk, replica: Replica, *, threads: dict[str, bool]) -> Health:
    """Return whether the node lives and accepts writes, and if not, why."""
    with desk.mutex:
        state, refusal = desk.condition()
        silent_ms = monotonic_ms() - desk.log_heard_ms
        details: dict[str, int | str] = {
            "posicao": desk.committed.position,
            "operacoes_na_fila": desk.node.queued,
            "livro_ouvido_ha_ms": silent_ms,
            "registros_ignorados": replica.skipped.total(),
            "contradicoes": replica.contradictions,
            "sessao": desk.node.session,
        }
        replicas = desk.replicas
        if replicas is not None:
            details |= {"replicas_do_livro": replicas.held, "corretores": replicas.brokers}
    reasons = [str(refusal)] if refusal else []
    if state == "livro_perdido" and desk.obstacle:
        reasons.append(f"The log is not reopened by itself: {desk.obstacle}")
    reasons += [f"{node} contradicts this node: see /cluster for both digests." for node in replica.contradicting()]
    if desk.branch:
        reasons.append(f"A branch waits: {desk.branch}")
    if replicas is not None and replicas.held < replicas.brokers:
        reasons.append(f"{replicas.held} of the {replicas.brokers} brokers hold the log: see docs/OPERATIONS.md.")
    if silent_ms > desk.config.log_silent_ms_max:
        reasons.append(f"Nothing was heard from the log for {silent_ms // 1000} s: what this node knows may be old.")
    # Who found the log lost has ended its applier on purpose: the node lives, and serves reads.
    is_complete = all(threads.values()) or bool(desk.troubles.log_lost)
    is_alive = is_complete and not desk.troubles.failure
    return Health(is_alive, is_alive and refusal is None, state, reasons, threads, details)


def log_view(desk: Desk, *, kind: str) -> LogView:
    """Return the log in use and its state."""
    with desk.mutex:
        state, committed, replicas = desk.condition().state, desk.committed, desk.replicas
    log_state = state if state in {"sem_livro", "livro_perdido", "iniciando"} else "conectado"
    held = replicas.held if replicas is not None else None
    return LogView(kind, log_state, committed.log_id, committed.epoch, held)


def nodes(desk: Desk) -> list[NodeView]:
    """Return this node and those it has heard of lately, by name."""
    now_ms, wall_ms = monotonic_ms(), clock_ms()
    with desk.mutex:
        committed, state = desk.committed, desk.condition().state
        lag_ms = desk.behind_ms(now_ms)
        peers = desk.peers.live(now_ms)
    me = NodeView(
        name=desk.config.node_name,
        addresses=desk.config.addresses,
        position=committed.position,
        lag_ms=lag_ms,
        state=state,
        chain=committed.chain.hex(),
        digest=committed.digest.hex(),
        seen_ms=wall_ms,
    )
    others = [
        NodeView(
            name=peer.heartbeat.node,
            addresses=peer.heartbeat.addresses,
            position=peer.heartbeat.position,
            lag_ms=peer.heartbeat.lag_ms,
            state=peer.heartbeat.state,
            chain=peer.heartbeat.chain,
            digest=peer.heartbeat.digest,
            seen_ms=wall_ms - (now_ms - peer.heard_ms),
        )
        for peer in peers
    ]
    return sorted([me, *others], key=lambda view: view.name)
