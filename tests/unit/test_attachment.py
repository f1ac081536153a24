"""When a node may write, as far as its log is concerned: never on a log that lost something."""

import pytest

from bank.attachment import Attachment
from bank.errors import LogLost

MEMBERS = {"banco-1", "banco-2", "banco-3"}


def attached(**remembered: int) -> Attachment:
    """Return an attachment of banco-1 that has just begun, its marker being record 10."""
    attachment = Attachment(
        node="banco-1", silent_ms_max=5_000, remembered={name: (1, position) for name, position in remembered.items()}
    )
    attachment.begin(now_ms=0, marker_seq=10)
    return attachment


def hear(
    attachment: Attachment, node: str, position: int, *, read_seq: int = 10, own: int = 100, next_seq: int = 11
) -> bool:
    return attachment.heard(node, (1, position), read_seq=read_seq, own_place=(1, own), next_seq=next_seq)


def test_nothing_is_written_before_the_marker_came_back() -> None:
    attachment = attached()
    hear(attachment, "banco-2", 5)
    hear(attachment, "banco-3", 5)
    assert not attachment.settled(MEMBERS, now_ms=60_000)
    attachment.returned(9, (1, 100))
    assert not attachment.settled(MEMBERS, now_ms=60_000), "an older record of one's own is no marker"
    attachment.returned(10, (1, 100))
    assert attachment.at_end
    assert attachment.settled(MEMBERS, now_ms=0)


def test_who_has_not_read_the_marker_may_have_what_it_does_not_say_yet() -> None:
    attachment = attached()
    attachment.returned(10, (1, 100))
    hear(attachment, "banco-2", 100, read_seq=9)
    hear(attachment, "banco-3", 100)
    assert not attachment.settled(MEMBERS, now_ms=4_999), "that heartbeat may be older than what the log has lost"
    hear(attachment, "banco-2", 101, read_seq=10, next_seq=11)
    assert not attachment.settled(MEMBERS, now_ms=4_999)
    attachment.returned(11, (1, 100))
    assert attachment.past_end(MEMBERS) == {"banco-2": (1, 101)}


def test_nothing_is_written_before_every_other_member_was_heard_or_is_silent() -> None:
    attachment = attached()
    attachment.returned(10, (1, 100))
    hear(attachment, "banco-2", 5)
    assert not attachment.settled(MEMBERS, now_ms=4_999)
    assert attachment.settled(MEMBERS, now_ms=5_000), "banco-3 is silent by then"


def test_who_was_heard_is_not_waited_for() -> None:
    attachment = attached()
    attachment.returned(10, (1, 100))
    hear(attachment, "banco-2", 5)
    hear(attachment, "banco-3", 5)
    assert attachment.settled(MEMBERS, now_ms=1)


def test_nothing_is_written_between_hearing_of_a_member_ahead_and_knowing_whether_the_log_has_what_it_has() -> None:
    attachment = attached()
    attachment.returned(10, (1, 100))
    hear(attachment, "banco-2", 150, next_seq=11)
    hear(attachment, "banco-3", 5)
    assert not attachment.settled(MEMBERS, now_ms=60_000)
    attachment.returned(11, (1, 150))
    assert attachment.settled(MEMBERS, now_ms=60_000)
    hear(attachment, "banco-2", 151, next_seq=12)
    assert attachment.settled(MEMBERS, now_ms=60_001), "by now the log is known"


def test_a_member_that_joins_later_holds_up_nobody() -> None:
    attachment = attached()
    attachment.returned(10, (1, 100))
    assert attachment.settled({"banco-1"}, now_ms=0)
    assert attachment.settled(MEMBERS, now_ms=1)


def test_attaching_again_begins_anew() -> None:
    attachment = attached()
    attachment.returned(10, (1, 100))
    hear(attachment, "banco-2", 5)
    hear(attachment, "banco-3", 5)
    attachment.begin(now_ms=100, marker_seq=20)
    assert not attachment.at_end
    assert not attachment.settled(MEMBERS, now_ms=200)


@pytest.mark.parametrize("offset", [1, 6, 7])
def test_a_marker_at_or_before_the_last_own_offset_proves_a_lost_log(offset: int) -> None:
    with pytest.raises(LogLost, match="lost or cut"):
        attached().end_heard(offset, last_offset=7)


def test_a_marker_behind_the_last_own_offset_is_the_end() -> None:
    attached().end_heard(8, last_offset=7)


def test_a_member_ahead_is_past_the_end_if_a_later_record_comes_back_and_this_node_is_still_behind() -> None:
    attachment = attached()
    attachment.returned(10, (1, 100))
    assert hear(attachment, "banco-2", 150, next_seq=11), "a record must be published to find out"
    assert attachment.past_end(MEMBERS) == {}
    attachment.returned(11, (1, 120))
    assert attachment.past_end(MEMBERS) == {"banco-2": (1, 150)}
    assert not attachment.settled(MEMBERS, now_ms=60_000)


def test_a_member_ahead_is_merely_ahead_if_its_position_is_reached_first() -> None:
    attachment = attached()
    hear(attachment, "banco-2", 150, next_seq=11)
    attachment.returned(10, (1, 120))
    assert attachment.past_end(MEMBERS) == {}, "published before the position was known: it proves nothing"
    attachment.returned(11, (1, 150))
    assert attachment.past_end(MEMBERS) == {}


def test_a_later_epoch_leaves_behind_what_was_past_the_end() -> None:
    attachment = attached(**{"banco-2": 150})
    attachment.returned(10, (1, 120))
    attachment.reached((1, 160))
    assert attachment.past_end(MEMBERS) == {"banco-2": (1, 150)}
    attachment.reached((2, 122))
    assert attachment.past_end(MEMBERS) == {}


def test_what_was_heard_before_the_restart_counts() -> None:
    attachment = attached(**{"banco-2": 150})
    attachment.returned(10, (1, 120))
    assert attachment.past_end(MEMBERS) == {"banco-2": (1, 150)}


def test_ones_own_former_position_is_no_claim_of_another() -> None:
    attachment = attached(**{"banco-1": 150})
    attachment.returned(10, (1, 120))
    assert attachment.past_end(MEMBERS) == {}


def test_a_retired_member_blocks_nobody() -> None:
    attachment = attached(**{"banco-9": 150})
    attachment.returned(10, (1, 120))
    hear(attachment, "banco-2", 5)
    hear(attachment, "banco-3", 5)
    assert attachment.settled(MEMBERS, now_ms=0)


def test_before_a_log_has_members_any_history_counts() -> None:
    attachment = attached(**{"banco-9": 1})
    attachment.returned(10, (1, 0))
    assert attachment.past_end(()) == {"banco-9": (1, 1)}


def test_the_highest_position_of_each_is_kept() -> None:
    attachment = attached(**{"banco-2": 7})
    hear(attachment, "banco-2", 5)
    hear(attachment, "banco-3", 9)
    assert attachment.highest_heard == {"banco-2": (1, 7), "banco-3": (1, 9)}


def test_who_says_that_it_is_further_on_while_less_is_being_proved_is_heard_only_by_its_next_word() -> None:
    attachment = attached(**{"banco-2": 100})
    hear(attachment, "banco-3", 5)
    hear(attachment, "banco-2", 150, next_seq=11)
    attachment.returned(10, (1, 100))
    assert not attachment.settled(MEMBERS, now_ms=0), "the marker proves what was remembered, and no more"
    assert hear(attachment, "banco-2", 150, next_seq=11)
    attachment.returned(11, (1, 100))
    assert attachment.past_end(MEMBERS) == {"banco-2": (1, 150)}
