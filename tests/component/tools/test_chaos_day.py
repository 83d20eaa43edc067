"""An hour of a hospital's day with dying processes; ``python -m tools.chaos_day`` plays the day."""

from datetime import UTC, datetime

from isocenter.infra import log
from tools.chaos_day.findings import judged
from tools.chaos_day.hospital import Hospital


def test_nothing_is_lost_doubled_credited_wrongly_or_stuck_unseen(database_url):
    log.configure("critical", "console")
    begins = datetime(2026, 3, 2, 8, tzinfo=UTC)
    hospital = Hospital(database_url, seed=4, chance=0.05, begins=begins, tick_s=60.0)
    hospital.play(1.0, beds=60)
    # It was no quiet hour.
    assert len(hospital.reported) >= 3
    assert hospital.fate.before + hospital.fate.after >= 5
    found = judged(hospital)
    assert (found.lost, found.doubled, found.misdirected) == ([], [], [])
    assert found.longest_unseen_s <= 120
    assert found.is_clean

    # The judgement itself: receivers and record that were tampered with are found out.
    ehr, gp = hospital.receivers
    control_id, _ = ehr.filed.popitem()
    gp.filed["another"] = next(iter(gp.filed.values()))
    ehr.accepted.discard(control_id)
    hospital.said["never"] = "AA"
    found = judged(hospital)
    hospital.plain.close()
    assert any(each.endswith("at EHR") for each in found.lost)
    assert any(each.startswith("message never") for each in found.lost)
    assert any(each.endswith("at GP") for each in found.doubled)
    assert found.misdirected == [f"{control_id} of EHR"]
