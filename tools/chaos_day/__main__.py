"""Plays the day on an embedded PostgreSQL of its own and prints what it found."""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from isocenter.infra import embedded_postgres, log
from isocenter.infra.db.migrate import migrate
from tools.chaos_day.findings import VISIBLE_WITHIN_S, Findings, judged
from tools.chaos_day.hospital import Hospital

_SHOWN_MAX = 10


def played(url: str, *, hours: float, beds: int, seed: int, chance: float) -> Hospital:
    """A hospital whose day is over, on an empty and migrated database."""
    begins = datetime(2026, 3, 2, 8 if hours < 24 else 0, tzinfo=UTC)
    hospital = Hospital(url, seed=seed, chance=chance, begins=begins)
    hospital.play(hours, beds)
    return hospital


def told(hospital: Hospital, found: Findings) -> str:
    """What was played and found, for people."""
    fate = hospital.fate
    habits = {
        habit: sum(each.habits[habit] for each in hospital.receivers)
        for habit in hospital.receivers[0].habits
    }
    alarmed = max(hospital.watch.alarmed_s.values(), default=0.0)
    lines = [
        f"messages in {len(hospital.said)}, orders {len(hospital.ordered)}, "
        f"images {sum(hospital.images.values())}, reports {len(hospital.reported)}",
        f"processes killed {fate.before} before and {fate.after} after a commit "
        f"({', '.join(f'{who} {n}' for who, n in sorted(hospital.deaths.items()))}); "
        f"requests repeated {hospital.repeated}",
        f"receivers: {', '.join(f'{habit} {count}' for habit, count in habits.items())}",
        f"lost {len(found.lost)}, duplicated {len(found.doubled)}, "
        f"credited to the wrong message {len(found.misdirected)}",
        f"stuck items {len(hospital.watch.seen_s)}; longest unseen {found.longest_unseen_s:.0f} s "
        f"(limit {VISIBLE_WITHIN_S:.0f} s); alarms of exams after at most {alarmed:.0f} s",
    ]
    wrong = [*found.lost, *found.doubled, *found.misdirected]
    lines += [f"  {each}" for each in wrong[:_SHOWN_MAX]]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Play as the command line says; 0 when nothing is wrong."""
    options = argparse.ArgumentParser(prog="python -m tools.chaos_day", description=__doc__)
    options.add_argument("--hours", type=float, default=24.0, help="simulated hours")
    options.add_argument("--beds", type=int, default=600)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--chance", type=float, default=0.005, help="to die, at each commit")
    chosen = options.parse_args()
    log.configure("critical", "console")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        server = embedded_postgres.start(Path(folder), settings={"fsync": "off"})
        try:
            migrate(server.url)
            hospital = played(
                server.url,
                hours=chosen.hours,
                beds=chosen.beds,
                seed=chosen.seed,
                chance=chosen.chance,
            )
            found = judged(hospital)
            hospital.plain.close()
        finally:
            server.stop()
    sys.stdout.write(told(hospital, found))
    sys.stdout.write(f"{chosen.hours:g} h in {time.monotonic() - began:.0f} s\n")
    return 0 if found.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
