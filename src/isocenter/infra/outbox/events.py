"""What an event is, and its form at rest.

Events are defined by the stages; here is only what all share. The form at rest is a JSON object of
the dataclass's fields; a field added later needs a default, so that old events still decode.
"""

from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from isocenter.errors import IsocenterError, Kind


class Event(Protocol):
    """A fact in the past tense: a frozen dataclass of JSON-able fields."""

    name: ClassVar[str]  # 'archive.study_complete'

    @property
    def subject(self) -> str:
        """What the fact is about: the row that the service had locked, 'study/1.2.840…'."""
        ...


EventT = TypeVar("EventT", bound=Event)


class UndecodableEvent(IsocenterError):
    """A stored event does not fit the class that carries its name."""

    kind: ClassVar[Kind] = Kind.FAULT


def to_data(event: Event) -> bytes:
    """The fields of ``event`` as a JSON object."""
    return msgspec.json.encode(event)


def from_data(event: type[EventT], data: Any) -> EventT:
    """The event that ``data`` (decoded JSON) was made of. Raises ``UndecodableEvent``."""
    try:
        return msgspec.convert(data, type=event)
    except msgspec.ValidationError as error:
        raise UndecodableEvent(f"a stored {event.name} does not fit its class") from error
