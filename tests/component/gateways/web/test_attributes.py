"""The API for attributes that searches know beyond the usual ones."""

from isocenter.app.reindexing import Reindexer
from isocenter.infra.blobs.several import MAIN, SeveralStores
from tests.hospital import SYSTEM, Hospital


def test_an_attribute_is_added_read_for_and_removed(hospital: Hospital):
    program = hospital.program("root")
    number = hospital.order(1)
    hospital.scan(number, 1)
    assert program.get("/api/attributes").json() == []
    assert program.get("/api/attributes/reindex").json() == {"reindex": None, "errors": []}
    added = program.post("/api/attributes", json={"attribute": "WindowWidth"})
    assert added.status_code == 201
    assert added.json()["tag"] == "00281051"
    assert (added.json()["vr"], added.json()["level"]) == ("DS", "instance")
    assert added.json()["state"] == "building"
    twice = program.post("/api/attributes", json={"attribute": "0028,1051"})
    assert twice.status_code == 409
    unknown = program.post("/api/attributes", json={"attribute": "00091001"})
    assert unknown.status_code in {400, 422}
    assert "creator" in unknown.text
    assert program.post("/api/attributes/reindex/cancel").status_code == 204
    assert program.post("/api/attributes/reindex/cancel").status_code == 409
    assert program.post("/api/attributes/reindex/resume").status_code == 204
    blobs = SeveralStores({MAIN: hospital.blobs})
    Reindexer(hospital.database, blobs, SYSTEM, hospital.clock, lambda: False).run()
    report = program.get("/api/attributes/reindex").json()
    assert report["reindex"]["state"] == "finished"
    assert report["reindex"]["series"] == report["reindex"]["series_total"] == 1
    assert report["errors"] == []
    (known,) = program.get("/api/attributes").json()
    assert known["state"] == "ready"
    path = f"/api/attributes/{known['attribute_key']}"
    nobody = hospital.program("tom")
    assert nobody.get("/api/attributes").status_code == 403
    assert nobody.delete(path).status_code == 403
    assert program.delete(path).status_code == 204
    assert program.delete(path).status_code == 404
    assert hospital.audited("attribute.add")
    assert hospital.audited("attribute.remove")
