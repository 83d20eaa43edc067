"""What happened to patients. ``patient_key`` is the row that the message named.

``asserted_by`` is the HL7 peer that said so, '' for anybody else: a peer is not told what it told
us.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class PatientRegistered:
    """A patient that was unknown until now."""

    name: ClassVar[str] = "identity.patient_registered"

    patient_key: int
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The patient."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class PatientUpdated:
    """Demographics or identifiers of a patient are no longer what they were.

    Attributes:
        changed: names of what changed: columns of the patient, and ``identifiers``.
    """

    name: ClassVar[str] = "identity.patient_updated"

    patient_key: int
    changed: list[str]
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The patient."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class PatientMerged:
    """``prior_key`` now stands for ``patient_key``.

    Attributes:
        moved_keys: all patients whose current patient changed by it, the prior among them.
    """

    name: ClassVar[str] = "identity.patient_merged"

    patient_key: int
    prior_key: int
    moved_keys: list[int]
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The surviving patient."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class PatientUnmerged:
    """A merge was undone: ``prior_key`` no longer stands for ``patient_key``."""

    name: ClassVar[str] = "identity.patient_unmerged"

    patient_key: int
    prior_key: int
    moved_keys: list[int]
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The patient that had survived."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class PatientLinked:
    """Two records are one person, and both stay in use."""

    name: ClassVar[str] = "identity.patient_linked"

    patient_key: int
    other_key: int
    link_key: int
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The record with the smaller key."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class PatientUnlinked:
    """A link was undone: whether the two records are one person is not known."""

    name: ClassVar[str] = "identity.patient_unlinked"

    patient_key: int
    other_key: int
    link_key: int
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The record with the smaller key."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class IdentifierMoved:
    """An identifier that named ``from_key`` now names ``patient_key``."""

    name: ClassVar[str] = "identity.identifier_moved"

    patient_key: int
    from_key: int
    identifier: str
    assigning_authority: str = ""
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The record that has it now."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class IdentifierReplaced:
    """A former identifier of a patient is in use no longer: another one takes its place."""

    name: ClassVar[str] = "identity.identifier_replaced"

    patient_key: int
    identifier: str
    assigning_authority: str
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The patient."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class DuplicateSuspected:
    """Two records may be one person: somebody has to look."""

    name: ClassVar[str] = "identity.duplicate_suspected"

    patient_key: int
    other_key: int
    pair_key: int

    @property
    def subject(self) -> str:
        """The record with the smaller key."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class DuplicateDecided:
    """What became of the question whether two records are one person; ``open``: asked again."""

    name: ClassVar[str] = "identity.duplicate_decided"

    patient_key: int
    other_key: int
    pair_key: int
    state: str

    @property
    def subject(self) -> str:
        """The record with the smaller key."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class IdentifierDisputed:
    """A message gave a patient an identifier that belongs to another patient; it stays there."""

    name: ClassVar[str] = "identity.identifier_disputed"

    patient_key: int
    owner_keys: list[int]

    @property
    def subject(self) -> str:
        """The patient that the message was about."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class VisitMoved:
    """A visit is of another patient than it was said to be of."""

    name: ClassVar[str] = "identity.visit_moved"

    visit_number: str
    former_key: int
    patient_key: int
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The patient that the visit is of now."""
        return f"patient/{self.patient_key}"


@dataclass(frozen=True, slots=True)
class VisitRenumbered:
    """A visit is known by another number, or is one with the visit that has it."""

    name: ClassVar[str] = "identity.visit_renumbered"

    former_number: str
    visit_number: str
    patient_key: int

    @property
    def subject(self) -> str:
        """The patient that the visit is of."""
        return f"patient/{self.patient_key}"
