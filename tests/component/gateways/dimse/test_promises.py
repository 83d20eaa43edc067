"""What is answered before the archive has it, and what is taken in after a crash: the same."""

import pytest

from isocenter.domain.archive.service.completeness import FRAGMENTS_END
from isocenter.domain.archive.service.shelving import describe_left
from isocenter.gateways.dimse.admission_entries import Entry, Examiner, Finished
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Caller, Grant
from isocenter.infra.blobs import open_store
from isocenter.standards.dicom.part10 import encode_file_meta, parse_file_meta
from tests.contract.dicomweb.conftest import REAL_FILES
from tests.image_builders import NOW

SOP_CLASS_UID = 0x00080016
CUTS = {"whole": None, "last bytes": -8, "half": 0.5}


class Way:
    """An object's way through the examiner onto a shelf, and what is found of it there."""

    def __init__(self, folder) -> None:
        self.store = open_store(folder.as_uri())
        self.limits = Limits()
        self.examiner = Examiner(self.store, lambda: NOW, self.limits)

    def send(self, data: bytes, sop_class_uid: str, sop_instance_uid: str, syntax: str) -> Entry:
        head = encode_file_meta(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=syntax,
            source_ae_title="SCU",
        )
        writer = self.store.writer()
        writer.write(head + data)
        entry = Entry(
            Finished(
                caller=Caller("SCU", "ARCHIVE", "192.0.2.7"),
                grant=Grant("SCU", frozenset()),
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=syntax,
                writer=writer,
                header=data[: self.limits.header_bytes],
                tail=data[-len(FRAGMENTS_END) :],
                dataset_offset=len(head),
                dataset_bytes=len(data),
                answered=lambda answer, later: None,
                admitted=lambda: None,
            )
        )
        self.examiner.scan(entry)
        return entry

    def is_found(self, entry: Entry) -> bool:
        """Whether the bytes, durable, are taken in when the process that had them is gone."""
        if entry.key is None:
            entry.key = self.store.commit_all([entry.finished.writer])[0].key
        return describe_left(self.store, entry.key, {}) is not None


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    return Way(tmp_path_factory.mktemp("objects"))


def test_every_real_object_that_is_promised_is_found_and_no_cut_one_is_taken(way):
    promised = refused = waiting = 0
    for file in REAL_FILES:
        data = file.data
        meta = parse_file_meta(data)
        sop_class_uid = meta.media_storage_sop_class_uid
        if not sop_class_uid or len(data) > 1 << 20:
            continue
        for name, cut in CUTS.items():
            data_set = data[meta.dataset_offset :]
            end = int(len(data_set) * cut) if isinstance(cut, float) else cut
            entry = way.send(
                data_set[:end], sop_class_uid, file.sop_instance_uid, file.transfer_syntax_uid
            )
            if entry.answer is not None:
                refused += 1
            elif entry.is_plain:
                promised += 1
                assert way.is_found(entry), (file.path.name, name)
            else:
                waiting += 1
    assert min(promised, refused, waiting) > 10
