"""Where objects are made durable: on the event loop while the storage is swift, else in threads."""

import asyncio
import threading
from contextlib import asynccontextmanager
from pathlib import Path

from pydicom.data import get_testdata_file

from isocenter.domain.archive.model import Admission, Outcome
from isocenter.gateways.dimse.admission import AdmissionQueue
from isocenter.gateways.dimse.admission_entries import Finished
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Caller, Grant
from isocenter.infra.blobs import open_store
from isocenter.infra.blobs.store import StorageFull
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.part10 import encode_file_meta, parse_file_meta
from tests.image_builders import NOW

WAIT_S = 30.0
ENOUGH = 12  # objects after which a swift storage is trusted
FILE = Path(get_testdata_file("CT_small.dcm", read=False))


class Register:
    """Shelves that nobody else looks at."""

    def open(self, directory, mark) -> None: ...

    def renew(self, marks) -> None: ...

    def close(self, marks) -> None: ...


class Bench:
    """One queue on a store in a folder, with senders that keep what they are told."""

    def __init__(self, folder, **limits) -> None:
        whole = FILE.read_bytes()
        self.meta = parse_file_meta(whole)
        self.data_set = whole[self.meta.dataset_offset :]
        self.store = open_store(folder.as_uri())
        self.limits = Limits(**limits)
        self.received = []
        self.queue = AdmissionQueue(self.store, self._admit, lambda: NOW, self.limits, Register())

    def _admit(self, batch):
        self.received += [each.instance for each in batch]
        return [Admission("1", Outcome.STORED) for _ in batch]

    def begun(self, told, visible=lambda: None) -> Finished:
        meta = self.meta
        head = encode_file_meta(
            sop_class_uid=meta.media_storage_sop_class_uid,
            sop_instance_uid=meta.media_storage_sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            source_ae_title="SCU",
        )
        writer = self.store.writer()
        writer.write(head + self.data_set)

        def answered(answer, later) -> None:
            told((answer.status, threading.current_thread()))
            if not later:  # no shelf yet: it was visible before it was answered
                visible()

        return Finished(
            caller=Caller("SCU", "ARCHIVE", "192.0.2.7"),
            grant=Grant("SCU", frozenset()),
            sop_class_uid=meta.media_storage_sop_class_uid,
            sop_instance_uid=meta.media_storage_sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            writer=writer,
            header=self.data_set[: self.limits.header_bytes],
            tail=self.data_set[-8:],
            dataset_offset=len(head),
            dataset_bytes=len(self.data_set),
            answered=answered,
            admitted=visible,
        )

    async def send(self):
        """Submit one object; its answer, and whether it came before ``submit`` returned."""
        told = asyncio.get_running_loop().create_future()
        self.queue.submit(self.begun(told.set_result))
        at_once = told.done()
        status, thread = await asyncio.wait_for(told, WAIT_S)
        assert thread is threading.main_thread()
        return status, at_once


@asynccontextmanager
async def bench(folder, **limits):
    made = Bench(folder, **limits)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.queue.close)


def test_a_storage_that_proved_swift_is_waited_for_and_the_object_is_durable_when_answered(
    tmp_path,
):
    async def story():
        async with bench(tmp_path, at_once_s_max=60.0) as ours:
            told = [await ours.send() for _ in range(ENOUGH)]
            assert {status for status, _ in told} == {Status.SUCCESS}
            assert not told[0][1]
            before = set(ours.store.keys())
            assert await ours.send() == (Status.SUCCESS, True)
            (key,) = set(ours.store.keys()) - before
            assert ours.store.read(key).endswith(ours.data_set)
        assert len(ours.received) == ENOUGH + 1
        assert {each.blob_key for each in ours.received} == set(ours.store.keys())

    asyncio.run(story())


def test_large_objects_and_those_of_a_slow_storage_go_to_a_thread(tmp_path):
    async def story(**limits):
        async with bench(tmp_path, **limits) as ours:
            told = [await ours.send() for _ in range(ENOUGH + 1)]
        assert told == [(Status.SUCCESS, False)] * (ENOUGH + 1)

    asyncio.run(story(at_once_s_max=60.0, at_once_bytes_max=1000))
    asyncio.run(story(at_once_s_max=0.0))


def test_an_object_that_is_visible_later_is_told_of_after_its_answer(tmp_path):
    async def story():
        async with bench(tmp_path, at_once_s_max=60.0) as ours:
            for _ in range(ENOUGH):
                await ours.send()
            seen, done = [], asyncio.Event()
            ours.queue.submit(
                ours.begun(
                    lambda told: seen.append("answered"),
                    lambda: (seen.append("visible"), done.set()),
                )
            )
            assert seen == ["answered"]
            await asyncio.wait_for(done.wait(), WAIT_S)
            assert seen == ["answered", "visible"]

    asyncio.run(story())


def test_a_full_storage_is_told_at_once_and_nothing_of_the_object_stays(tmp_path):
    async def story():
        async with bench(tmp_path, at_once_s_max=60.0) as ours:
            for _ in range(ENOUGH):
                await ours.send()
            kept = set(ours.store.keys())

            def full(writers, keys):
                for each in writers:
                    each.abort()
                raise StorageFull("the storage has no room left")

            ours.store.make_durable = full
            assert await ours.send() == (Status.OUT_OF_RESOURCES, True)
        assert set(ours.store.keys()) == kept
        assert len(ours.received) == ENOUGH

    asyncio.run(story())


def test_what_somebody_waits_for_is_not_collected_any_longer(tmp_path):
    async def story():
        async with bench(tmp_path, at_once_s_max=60.0, gather_s=600.0) as ours:
            # The first has no shelf: its sender waits for the transaction, and so for nothing else.
            assert await ours.send() == (Status.SUCCESS, False)
            visible = asyncio.Event()
            ours.queue.submit(ours.begun(lambda told: None, visible.set))
            ours.queue.hurry()
            await asyncio.wait_for(visible.wait(), WAIT_S)

    asyncio.run(story())


def test_more_than_a_batch_holds_becomes_visible_without_waiting_twice(tmp_path):
    async def story():
        limits = {"at_once_s_max": 0.0, "gather_s": 600.0, "batch_instances_max": 4}
        async with bench(tmp_path, **limits) as ours:
            await ours.send()
            visible = asyncio.Semaphore(0)
            answered = asyncio.Semaphore(0)
            for _ in range(11):
                ours.queue.submit(ours.begun(lambda told: answered.release(), visible.release))
            for _ in range(11):
                await asyncio.wait_for(answered.acquire(), WAIT_S)
            ours.queue.hurry()
            for _ in range(11):
                await asyncio.wait_for(visible.acquire(), WAIT_S)
            assert visible.locked()  # each of them once

    asyncio.run(story())
