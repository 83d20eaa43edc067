"""The use cases of identity: register, merge, link, move identifiers, undo each, and find."""

from isocenter.domain.identity.service.accounts import merge_account
from isocenter.domain.identity.service.asking import Candidate, candidates
from isocenter.domain.identity.service.deciding import (
    link_pair,
    merge_pair,
    part_pair,
    undo_decision,
)
from isocenter.domain.identity.service.finding import (
    current_key,
    find,
    patient,
    record_identifiers,
    same_person,
)
from isocenter.domain.identity.service.linking import (
    link,
    link_named,
    linked_keys,
    links,
    unlink,
    unlink_named,
)
from isocenter.domain.identity.service.matching import (
    look_for_duplicates,
    refresh_name_frequencies,
)
from isocenter.domain.identity.service.merging import merge, merge_records, merges, unmerge
from isocenter.domain.identity.service.moving import (
    identifier_changes,
    move_identifier,
    replace_identifier,
    undo_identifier_change,
)
from isocenter.domain.identity.service.registering import register, register_all
from isocenter.domain.identity.service.visits import (
    move_visit,
    record_visits,
    renumber_visit,
    visits_of,
)

__all__ = [
    "Candidate",
    "candidates",
    "current_key",
    "find",
    "identifier_changes",
    "link",
    "link_named",
    "link_pair",
    "linked_keys",
    "links",
    "look_for_duplicates",
    "merge",
    "merge_account",
    "merge_pair",
    "merge_records",
    "merges",
    "move_identifier",
    "move_visit",
    "part_pair",
    "patient",
    "record_identifiers",
    "record_visits",
    "refresh_name_frequencies",
    "register",
    "register_all",
    "renumber_visit",
    "replace_identifier",
    "same_person",
    "undo_decision",
    "undo_identifier_change",
    "unlink",
    "unlink_named",
    "unmerge",
    "visits_of",
]
