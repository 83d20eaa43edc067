"""When an exam began to be late at a hop, and when it caught up."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class _OfAlarm:
    alarm_key: int
    accession_number: str
    study_instance_uid: str
    hop: str

    @property
    def subject(self) -> str:
        """The exam."""
        if self.study_instance_uid:
            return f"study/{self.study_instance_uid}"
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class AlarmRaised(_OfAlarm):
    """A hop is overdue."""

    name: ClassVar[str] = "monitoring.alarm_raised"


@dataclass(frozen=True, slots=True)
class AlarmCleared(_OfAlarm):
    """The hop happened, or is expected no more."""

    name: ClassVar[str] = "monitoring.alarm_cleared"


@dataclass(frozen=True, slots=True)
class _OfCondition:
    condition_key: int
    kind: str
    condition: str

    @property
    def subject(self) -> str:
        """What is wrong, and with what."""
        return f"condition/{self.kind}/{self.condition}"


@dataclass(frozen=True, slots=True)
class ConditionRaised(_OfCondition):
    """Something is wrong that is no exam."""

    name: ClassVar[str] = "monitoring.condition_raised"


@dataclass(frozen=True, slots=True)
class ConditionCleared(_OfCondition):
    """It is right again."""

    name: ClassVar[str] = "monitoring.condition_cleared"
