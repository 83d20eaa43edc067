"""What an installation says of itself under ``/api``, and what a person decides there."""

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

import httpx

from isocenter.app.conformance.messages import AUTHORITY, Person
from isocenter.app.conformance.verdicts import Failed, NotPossible

Row = Mapping[str, Any]

_TIMEOUT_S = 30.0
_FORBIDDEN = frozenset({401, 403})
_NOT_FOUND = 404


class Surface:
    """The API of an installation, with a token.

    Args:
        url: of the installation.
        token: bearer token of somebody who may read, reconcile and report.
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S)

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def who(self) -> str:
        """Whom the token speaks for."""
        return str(self._get("/api/me")["name"])

    def exam(self, accession_number: str) -> Row:
        """An exam's ledger; empty while there is none."""
        answer = self._asked("GET", f"/api/exams/{accession_number}")
        return {} if answer.status_code == _NOT_FOUND else self._read(answer)

    def hop(self, accession_number: str, name: str) -> str:
        """How a hop of an exam stands; empty while there is no exam."""
        hops = self.exam(accession_number).get("hops", [])
        return next((str(each["state"]) for each in hops if each["name"] == name), "")

    def exams_of(self, patient_id: str) -> list[Row]:
        """The exams of a patient."""
        return self._get("/api/exams", patient_id=patient_id)["items"]

    def cases(self, study_instance_uid: str) -> list[str]:
        """The kinds of the open cases of a study."""
        found = cast("list[Row]", self._get("/api/reconciliation", limit="500"))
        mine = [each for each in found if each["study_instance_uid"] == study_instance_uid]
        return sorted(str(each["kind"]) for each in mine)

    def candidates(self, study_instance_uid: str) -> list[str]:
        """The accession numbers that a study may belong to, best first."""
        found = cast("list[Row]", self._get(f"/api/reconciliation/{study_instance_uid}/candidates"))
        return [str(each["accession_number"]) for each in found]

    def match(self, study_instance_uid: str, accession_number: str) -> None:
        """Decide which order a study belongs to."""
        body = {"accession_number": accession_number, "reason": "conformance bench"}
        self._post(f"/api/reconciliation/{study_instance_uid}/match", body)

    def move(self, study_instance_uid: str, patient_id: str) -> None:
        """Decide whose images these are."""
        body = {
            "patient_id": patient_id,
            "assigning_authority": AUTHORITY,
            "reason": "conformance bench",
        }
        self._post(f"/api/reconciliation/{study_instance_uid}/patient", body)

    def patient(self, person: Person) -> Row:
        """The patient with a person's number, as people find it; empty while there is none."""
        body = {
            "names": [person.name],
            "birth_date": f"{date.fromisoformat(person.birth_date)}",
            "sex": person.sex,
            "identifiers": [[person.number, AUTHORITY, "MR"]],
        }
        found = cast("list[Row]", self._post("/api/patients/match", body))
        for each in found:
            known = cast("list[Row]", each["patient"]["identifiers"])
            if any(str(one["value"]) == person.number for one in known):
                return each["patient"]
        return {}

    def unmerge(self, patient: Row) -> None:
        """Undo the newest merge of a patient."""
        merges = cast("list[Row]", self._get(f"/api/patients/{patient['patient_key']}")["merges"])
        done = [each["merge_key"] for each in merges if each["undone_at"] is None]
        self._post(f"/api/patients/merges/{max(done)}/undo", None)

    def report(self, accession_number: str, text: str) -> None:
        """Write a report and sign it."""
        body = {"accession_number": accession_number, "text": text}
        drafted = self._post("/api/reports", body)
        self._post(f"/api/reports/{drafted['report_id']}/sign", None)

    def deliveries(self, accession_number: str) -> list[Row]:
        """Who gets the reports of an exam."""
        return self._get("/api/deliveries", accession_number=accession_number)

    def unscheduled_steps(self) -> list[Row]:
        """Performed procedure steps that mean no exam."""
        return self._get("/api/performed-steps", unscheduled="true")["items"]

    def _get(self, path: str, **asked: str) -> Any:
        return self._read(self._asked("GET", path, params=asked))

    def _post(self, path: str, body: object) -> Any:
        answer = self._asked("POST", path, json=body)
        return self._read(answer) if answer.content else None

    def _asked(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise NotPossible(f"{path} cannot be reached: {error}") from error

    def _read(self, answer: httpx.Response) -> Any:
        path = answer.request.url.path
        if answer.status_code in _FORBIDDEN:
            raise NotPossible(f"the token may not use {path} ({answer.status_code})")
        if answer.is_error:
            raise Failed(f"{path} answered {answer.status_code}: {answer.text[:200]}")
        return answer.json()
