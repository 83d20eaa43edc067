"""The demonstration radiologist: takes exams that are ready, writes reports and signs them.

It uses the product's HTTP API with a token, as any program would, and leaves some exams for a
visitor to read.
"""

import threading
from collections.abc import Callable, Mapping

import httpx

from isocenter.app.demo.cast import Exam

_POLL_S = 1.5
_READING_S = 2.5
_TIMEOUT_S = 30.0


class Radiologist:
    """Reads what is on the reading list until told to stop.

    Args:
        base_url: of the product.
        token: bearer token of a user with the role radiologist.
        exams: what was found, by accession number; others are left alone.
        is_left: whether an exam is left for the visitor.
        say: tells the audience.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        exams: Mapping[str, Exam],
        is_left: Callable[[Exam], bool],
        say: Callable[[str], None],
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
        )
        self._exams, self._is_left, self._say = exams, is_left, say
        self._seen: set[str] = set()

    def work(self, stop: threading.Event) -> None:
        """Read until stopped; a product that is away for a while is no reason to end."""
        while not stop.wait(_POLL_S):
            try:
                waiting = self._waiting()
                for accession_number in waiting:
                    if stop.wait(_READING_S):
                        return
                    self._read(accession_number)
            except httpx.HTTPError:
                continue

    def ledger(self, accession_number: str) -> Mapping[str, str | None]:
        """The time of each hop of an exam's ledger; empty while there is none."""
        try:
            answer = self._http.get(f"/api/exams/{accession_number}")
        except httpx.HTTPError:
            return {}
        if not answer.is_success:
            return {}
        return {hop["name"]: hop["at"] for hop in answer.json()["hops"]}

    def _waiting(self) -> list[str]:
        answer = self._http.get("/api/exams", params={"state": "to_read"})
        answer.raise_for_status()
        numbers = [str(each["accession_number"]) for each in answer.json()["items"]]
        return [number for number in numbers if number not in self._seen]

    def _read(self, accession_number: str) -> None:
        exam = self._exams.get(accession_number)
        self._seen.add(accession_number)
        if exam is None:
            return
        if self._is_left(exam):
            self._say(f"leaves {exam.kind.description} of {exam.patient.name} for you to read")
            return
        body = {"accession_number": accession_number, "text": exam.report}
        draft = self._http.post("/api/reports", json=body)
        if draft.is_error:
            self._say(f"could not draft {accession_number}: {draft.status_code}")
            return
        signed = self._http.post(f"/api/reports/{draft.json()['report_id']}/sign")
        if signed.is_error:
            self._say(f"could not sign {accession_number}: {signed.status_code}")
            return
        impression = exam.report.rpartition("Impression: ")[2]
        self._say(f"signed {exam.kind.description} of {exam.patient.name}: {impression}")
