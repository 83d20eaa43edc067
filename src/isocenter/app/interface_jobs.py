"""What the worker does for the HL7 interface by the clock."""

from datetime import timedelta

from isocenter.app.hl7_receiving import receive_options
from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.peers import service as peers
from isocenter.gateways.hl7.replaying import Replayer

# Few at a time and often: whoever waits for an acknowledgement must not wait for this.
_WORDS_S, _WORDS_AT_ONCE = 0.25, 30
# Looking through the messages of minutes takes tens of milliseconds, so that is done rarely.
_LOOKING_BACK = timedelta(seconds=5)
_LATE_WORDS_S, _LATE_WORDS_AT_ONCE = 60.0, 500
_TRAFFIC_S, _REPLAY_S = 60.0, 0.5


def interface_jobs(runtime: Runtime) -> list[Job]:
    """Words to search by, what was said in an hour, and messages to be processed again."""

    def words() -> int:
        limit, now = _WORDS_AT_ONCE, runtime.clock()
        return runtime.pool.run_here(
            lambda tx: peers.keep_words(tx, limit=limit, now=now, looking_back=_LOOKING_BACK)
        )

    def late_words() -> int:
        limit, now = _LATE_WORDS_AT_ONCE, runtime.clock()
        return runtime.pool.run_here(lambda tx: peers.keep_words(tx, limit=limit, now=now))

    def traffic() -> int:
        return runtime.pool.run_here(lambda tx: peers.count_traffic(tx, now=runtime.clock()))

    replayer = Replayer(runtime.pool, receive_options(runtime.settings), runtime.clock)
    return [
        Job("keep_words", _WORDS_S, words),
        Job("keep_late_words", _LATE_WORDS_S, late_words),
        Job("count_traffic", _TRAFFIC_S, traffic),
        Job("replay_messages", _REPLAY_S, replayer),
    ]
