"""One accession number, several studies."""

from tests.exam_story import Department, a_patient, an_order
from tests.image_builders import an_instance


def test_two_studies_of_one_accession_number_are_both_its_exams(database):
    department = Department(database)
    department.order(a_patient("P-1"), an_order("A1"))
    for study in ("1.2.3", "1.2.4"):
        department.receive(an_instance(study=study, series=f"{study}.1", accession_number="A1"))
    department.drain()
    with database.transaction() as tx:
        linked = tx.values(
            "select study_instance_uid || ' ' || accession_number from reconcile.link order by 1"
        )
        cases = tx.values("select kind from reconcile.reconciliation_case where state = 'open'")
    assert (linked, cases) == (["1.2.3 A1", "1.2.4 A1"], [])
