"""What is on a node's disk: nothing later than this may leave the node."""

from collections.abc import Mapping
from typing import NamedTuple

from bank.attachment import Place
from bank.state import State, state_digest
from bank.views import Token

__all__ = ["Committed"]


class Committed(NamedTuple):
    """One place in the history, whole; replaced after every commit."""

    log_id: str
    epoch: int
    version: int
    position: int
    chain: bytes
    digest: bytes
    accounts: int
    members: Mapping[str, tuple[int, ...]]
    """With the record versions that each can do."""

    @classmethod
    def of(cls, state: State) -> "Committed":
        """Take it from a state that was just committed or loaded."""
        digest = state_digest(state)
        log = (state.log_id, state.epoch, state.version)
        return cls(*log, state.position, state.chain, digest, len(state.accounts), dict(state.members))

    @property
    def place(self) -> Place:
        """Epoch and position."""
        return self.epoch, self.position

    @property
    def token(self) -> Token:
        """The form in which customers see it."""
        return Token(self.epoch, self.position, self.chain.hex()[:8])
