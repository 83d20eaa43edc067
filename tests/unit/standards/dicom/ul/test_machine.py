"""Every cell of PS3.8 Table 9-10, against a transcription of its own and pynetdicom's."""

import pytest

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom.ul.machine import (
    EFFECTS,
    TABLE,
    Action,
    Artim,
    Event,
    Machine,
    State,
)

# One row per event, one column per state Sta1..Sta13; "." is an empty cell. By the standard's
# names.
GRID = """
E1   AE-1 .    .    .    .    .    .    .    .    .     .    .    .
E2   .    .    .    AE-2 .    .    .    .    .    .     .    .    .
E3   .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
E4   .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
E5   AE-5 .    .    .    .    .    .    .    .    .     .    .    .
E6   .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
E7   .    .    AE-7 .    .    .    .    .    .    .     .    .    .
E8   .    .    AE-8 .    .    .    .    .    .    .     .    .    .
E9   .    .    .    .    .    DT-1 .    AR-7 .    .     .    .    .
E10  .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
E11  .    .    .    .    .    AR-1 .    .    .    .     .    .    .
E12  .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
E13  .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
E14  .    .    .    .    .    .    .    AR-4 AR-9 .     .    AR-4 .
E15  .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 .
E16  .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-2
E17  .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AR-5
E18  .    AA-2 .    .    .    .    .    .    .    .     .    .    AA-2
E19  .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
"""
# Tables 9-6 to 9-9: the next state, requestor / acceptor where they differ.
NEXT = """
AE-1 4
AE-2 5
AE-3 6
AE-4 1
AE-5 2
AE-6 3
AE-7 6
AE-8 13
DT-1 6
DT-2 6
AR-1 7
AR-2 8
AR-3 1
AR-4 13
AR-5 1
AR-6 7
AR-7 8
AR-8 9/10
AR-9 11
AR-10 12
AA-1 13
AA-2 1
AA-3 1
AA-4 1
AA-5 1
AA-6 13
AA-7 13
AA-8 13
"""
CELLS = [
    (int(row.split()[0][1:]), state, name)
    for row in GRID.strip().splitlines()
    for state, name in enumerate(row.split()[1:], start=1)
]
NEXT_STATE = dict(row.split() for row in NEXT.strip().splitlines())


def test_the_grid_is_complete():
    assert len(CELLS) == 19 * 13


@pytest.mark.parametrize(("event", "state", "name"), CELLS)
@pytest.mark.parametrize("requestor", [True, False])
def test_every_cell(event, state, name, requestor):
    machine = Machine(requestor=requestor)
    machine.state = State(state)
    if name == ".":
        with pytest.raises(LocalProtocolError):
            machine.step(Event(event))
        assert machine.state is State(state)
        return
    assert TABLE[State(state), Event(event)] is Action(name)
    machine.step(Event(event))
    expected = NEXT_STATE[name].split("/")
    assert machine.state == int(expected[0 if requestor else -1])


def test_pynetdicom_has_the_same_table():
    fsm = pytest.importorskip("pynetdicom.fsm")
    theirs = {
        (int(state[3:]), int(event[3:])): action
        for (event, state), action in fsm.TRANSITION_TABLE.items()
    }
    ours = {(int(state), int(event)): action.value for (state, event), action in TABLE.items()}
    assert ours == theirs


def test_every_action_has_an_effect():
    assert set(EFFECTS) == set(Action)


def test_artim_runs_where_the_standard_says():
    starts = {action.value for action, effect in EFFECTS.items() if effect.artim is Artim.START}
    stops = {action.value for action, effect in EFFECTS.items() if effect.artim is Artim.STOP}
    assert starts == {"AE-5", "AE-8", "AR-4", "AA-1", "AA-8"}
    assert stops == {"AE-6", "AR-5", "AA-2", "AA-5"}


def test_each_start_of_artim_is_told_apart():
    machine = Machine(requestor=False)
    machine.step(Event.TRANSPORT_INDICATED)
    first = machine.artim_epoch
    machine.step(Event.ASSOCIATE_RQ_RECEIVED)
    assert machine.artim_epoch is None
    machine.step(Event.ASSOCIATE_RESPONSE_REJECT)
    assert machine.artim_epoch not in {None, first}
