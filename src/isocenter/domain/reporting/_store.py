"""The SQL of reports. One function is one statement."""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.reporting.model import Report, ReportVersion
from isocenter.infra.db import Tx

_COLUMNS = """
select report_id, accession_number, order_key, state, version, draft_text, draft_revision,
       created_by, created_at, updated_by, updated_at, signed_at, patient_key,
       patient_unconfirmed
  from reporting.report
"""
_BY_ID = _COLUMNS + "where report_id = %s"
_BY_ID_LOCKED = _COLUMNS + "where report_id = %s for update"
_BY_ORDER_LOCKED = _COLUMNS + "where order_key = %s for update"
_BY_ACCESSION_NUMBER = _COLUMNS + "where accession_number = %s order by created_at limit 1"


def report(tx: Tx, report_id: str) -> Report | None:
    """The report."""
    return tx.maybe(Report, _BY_ID, (report_id,))


def lock(tx: Tx, report_id: str) -> Report | None:
    """The report, locked until the transaction ends."""
    return tx.maybe(Report, _BY_ID_LOCKED, (report_id,))


def lock_of_order(tx: Tx, order_key: int) -> Report | None:
    """The order's report, locked until the transaction ends."""
    return tx.maybe(Report, _BY_ORDER_LOCKED, (order_key,))


def report_of(tx: Tx, accession_number: str) -> Report | None:
    """The exam's report."""
    return tx.maybe(Report, _BY_ACCESSION_NUMBER, (accession_number,))


_BEGIN = """
insert into reporting.report (report_id, accession_number, order_key, state, draft_text,
    draft_revision, created_by, created_at, updated_by, updated_at, patient_key)
values (%(report_id)s, %(accession_number)s, %(order_key)s, 'draft', %(text)s, 1, %(author)s,
    %(now)s, %(author)s, %(now)s, %(patient_key)s)
on conflict (order_key) do nothing
"""


def begin(tx: Tx, report: Report) -> bool:
    """Whether the report was made; False when the order has one already."""
    params = {
        "report_id": report.report_id,
        "accession_number": report.accession_number,
        "order_key": report.order_key,
        "text": report.draft_text,
        "author": report.created_by,
        "now": report.created_at,
        "patient_key": report.patient_key,
    }
    return tx.run(_BEGIN, params) > 0


_SAVE = """
update reporting.report
   set draft_text = %(text)s, draft_revision = draft_revision + 1, updated_by = %(author)s,
       updated_at = %(now)s
 where report_id = %(report_id)s
"""


def save(tx: Tx, report_id: str, text: str, *, author: str, now: datetime) -> None:
    """Replace the draft's text."""
    tx.run(_SAVE, {"report_id": report_id, "text": text, "author": author, "now": now})


_DRAFTS_ABOUT = (
    _COLUMNS
    + """
 where state = 'draft' and patient_key = any(%s) order by report_id for update
"""
)


def lock_drafts_about(tx: Tx, patient_keys: Sequence[int]) -> list[Report]:
    """The drafts whose writers took one of these for the patient, locked."""
    return tx.all(Report, _DRAFTS_ABOUT, (list(patient_keys),))


_SET_PATIENT = """
update reporting.report
   set patient_key = %s, patient_unconfirmed = true, draft_revision = draft_revision + 1
 where report_id = %s
"""


def set_patient(tx: Tx, report_id: str, patient_key: int) -> None:
    """Note who the patient is now; whoever has the draft open must look again, and confirm it."""
    tx.run(_SET_PATIENT, (patient_key, report_id))


def confirm_patient(tx: Tx, report_id: str) -> None:
    """Note that a writer has said that the patient is right."""
    tx.run(
        "update reporting.report set patient_unconfirmed = false where report_id = %s", (report_id,)
    )


_SIGN = """
update reporting.report
   set state = 'signed', version = %(version)s, draft_text = null, updated_by = %(signer)s,
       updated_at = %(now)s, signed_at = %(now)s
 where report_id = %(report_id)s
"""


def sign(tx: Tx, report_id: str, version: int, *, signer: str, now: datetime) -> None:
    """Note that ``version`` is signed and nothing is being written."""
    tx.run(_SIGN, {"report_id": report_id, "version": version, "signer": signer, "now": now})


_ADD_VERSION = """
insert into reporting.report_version (report_id, version, kind, text, digest, signed_by,
    signer_name, signed_at)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""


def add_version(tx: Tx, version: ReportVersion) -> None:
    """Keep a signed text. The database refuses to change it ever after."""
    tx.run(
        _ADD_VERSION,
        (
            version.report_id,
            version.version,
            version.kind.value,
            version.text,
            version.digest,
            version.signed_by,
            version.signer_name,
            version.signed_at,
        ),
    )


_VERSIONS = """
select report_id, version, kind, text, digest, signed_by, signer_name, signed_at
  from reporting.report_version where report_id = %s order by version
"""


def versions(tx: Tx, report_id: str) -> list[ReportVersion]:
    """All signed texts, oldest first."""
    return tx.all(ReportVersion, _VERSIONS, (report_id,))
