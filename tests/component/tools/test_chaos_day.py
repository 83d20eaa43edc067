"""Some of a hospital's day with dying processes; ``python -m tools.chaos_day`` plays all of it."""

from datetime import UTC, datetime

from isocenter.infra import log
from tools.chaos_day.findings import judged
from tools.chaos_day.hospital import Hospital

BEGINS = datetime(2026, 3, 2, 8, tzinfo=UTC)


def test_nothing_is_lost_doubled_credited_wrongly_or_stuck_unseen(database_url):
    log.configure("critical", "console")
    hospital = Hospital(database_url, seed=4, chance=0.03, begins=BEGINS, tick_s=60.0)
    hospital.play(1.0, beds=100)
    found = judged(hospital)
    hospital.plain.close()
    # It was no quiet day.
    assert len(hospital.reported) >= 5
    assert hospital.fate.before + hospital.fate.after >= 5
    assert (found.lost, found.doubled, found.misdirected) == ([], [], [])
    assert found.longest_unseen_s <= 120


def test_what_is_missing_twice_there_or_answered_by_nobody_is_found(database_url):
    """The judgement itself: a day whose receivers and record are tampered with is not clean."""
    log.configure("critical", "console")
    hospital = Hospital(database_url, seed=4, chance=0.0, begins=BEGINS, tick_s=60.0)
    hospital.play(0.2, beds=100)
    assert judged(hospital).is_clean
    ehr, gp = hospital.receivers
    control_id, message = ehr.filed.popitem()
    gp.filed["another"] = next(iter(gp.filed.values()))
    ehr.accepted.discard(control_id)
    hospital.said["never"] = "AA"
    found = judged(hospital)
    hospital.plain.close()
    assert any(each.endswith("at EHR") for each in found.lost)
    assert any(each.startswith("message never") for each in found.lost)
    assert any(each.endswith("at GP") for each in found.doubled)
    assert found.misdirected == [f"{control_id} of EHR"]
    assert message
