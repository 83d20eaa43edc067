"""What is new in a study, and where it is: for those who send it on."""

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import _store_outgoing as _store
from isocenter.domain.archive.model_outgoing import InstanceSpan, KeyedLocation, SeriesGrowth
from isocenter.infra.db import Tx


def growth(
    tx: Tx, viewer: Viewer, study_instance_uid: str, *, after_key: int, not_from: str
) -> list[SeriesGrowth]:
    """The study's series with instances beyond ``after_key``, without those that ``not_from`` sent.

    Whatever a later transaction adds to the study has keys beyond these: a study is locked before
    its instances get theirs.
    """
    viewer.require(Action.STUDY_READ)
    return _store.growth(tx, study_instance_uid, after=after_key, not_from=not_from)


def locate_between(
    tx: Tx, viewer: Viewer, span: InstanceSpan, *, limit: int
) -> list[KeyedLocation]:
    """The instances of the span, in the order of their keys."""
    viewer.require(Action.STUDY_READ)
    return _store.between(tx, span, limit=limit)
