"""Images split off a study, and its peers: a note, and the images anew."""

import pytest

from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.service import SplitWish
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.dimse.sending import ImageSender
from isocenter.infra.clock import utc_now
from tests.builders import PERSON
from tests.contract.dimse.test_rejection_notes import STUDY, an_object, site
from tests.contract.dimse.test_sending import Receiver
from tests.dicom_site import free_port, until
from tests.exam_story import EHR, a_patient, an_order

pytestmark = pytest.mark.peer("pynetdicom")
__all__ = ["site"]  # the fixture
OTHER = f"{STUDY}.9"


def test_a_peer_gets_a_note_and_the_images_anew(site):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    with site.database.transaction() as tx:
        patient = a_patient("P-9", person_name="Phantom^Zoe")
        scheduling.place_order(tx, EHR, patient, an_order("B1"), now=utc_now())
    site.admit(an_object(1))
    site.admit(an_object(2, SeriesInstanceUID=OTHER, SOPInstanceUID=f"{OTHER}.2"))
    site.route(STUDY)
    receiver = Receiver(port)
    site.work(ImageSender)
    try:
        until(lambda: [each.state for each in site.deliveries()] == ["acknowledged"])
        wish = SplitWish(
            study_instance_uid=STUDY, series_instance_uids=[OTHER], accession_number="B1"
        )
        with site.database.transaction() as tx:
            made = reconcile.split(
                tx, PERSON, site.store, wish, reason="called the scanner", now=utc_now()
            )
        site.react()
        until(lambda: len(receiver.objects) == 4)
    finally:
        receiver.close()
    (note,) = [each for each in receiver.objects if each.Modality == "KO"]
    assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
    (named,) = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert named.SeriesInstanceUID == OTHER
    (anew,) = [each for each in receiver.objects if each.StudyInstanceUID != STUDY]
    said = (anew.StudyInstanceUID, anew.SeriesInstanceUID, anew.AccessionNumber, anew.PatientName)
    became = made.to_study_instance_uid, made.series[OTHER], "B1", "Phantom^Zoe"
    assert said == became
    before = anew.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert before.SOPInstanceUID == f"{OTHER}.2"
