"""Fresh identifiers."""

import re
import uuid
from datetime import timedelta

from pydicom.uid import UID

from isocenter.infra.clock import utc_now
from isocenter.infra.ids import made_at, new_id, new_token, new_uid


def test_a_uid_is_valid_and_under_the_root_for_uuids() -> None:
    uids = {new_uid() for _ in range(200)}
    assert len(uids) == 200
    for each in uids:
        assert UID(each).is_valid
        assert each.startswith("2.25.")
        assert uuid.UUID(int=int(each[5:])).version == 4


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    ids = [new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert [each[:12] for each in ids] == sorted(each[:12] for each in ids)
    for each in ids:
        assert re.fullmatch(r"[0-9a-f]{32}", each)
        assert (uuid.UUID(each).variant, each[12]) == (uuid.RFC_4122, "7")


def test_tokens_are_url_safe_and_long_enough() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", new_token())
    assert new_token() != new_token()


def test_an_identifier_tells_when_it_was_made() -> None:
    before = utc_now()
    made = made_at(new_id())
    assert timedelta(milliseconds=-1) <= made - before < timedelta(seconds=5)
