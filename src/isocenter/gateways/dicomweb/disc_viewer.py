"""The viewer page on an exported medium: plain files that show rendered pictures without a server.

Pictures are JPEG as WADO-RS renders them, in the order of the images. The files beside them are
ours and load nothing from elsewhere; browsers open them from a disc, where scripts may not fetch
files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from isocenter.domain.archive.model import InstanceLocation
from isocenter.errors import IsocenterError
from isocenter.standards.dicom.values_model import DataSet

PICTURES_MAX: Final = 5_000
FRAMES_MAX: Final = 300  # of one instance
_FILES: Final = Path(__file__).parent / "disc"
_FOLDER: Final = "VIEWER"

Draw = Callable[[InstanceLocation, int], bytes]


@dataclass
class DiscViewer:
    """What the page shows, gathered while the medium is written.

    Attributes:
        draw: the JPEG of a frame of an instance.
    """

    draw: Draw
    _patient: str = ""
    _study: str = ""
    _series: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    _count: int = 0

    def pictures(self, location: InstanceLocation, header: DataSet) -> Iterator[tuple[str, bytes]]:
        """The files of an instance's pictures; none where nothing of it can be shown."""
        if location.pixel_data_offset is None:
            return
        self._name(header)
        series = self._of(location, header)
        for frame in range(1, min(location.number_of_frames or 1, FRAMES_MAX) + 1):
            if self._count >= PICTURES_MAX:
                return
            try:
                picture = self.draw(location, frame)
            except IsocenterError:
                return
            self._count += 1
            name = f"{series['folder']}/IM{len(series['pictures']) + 1:06d}.JPG"
            series["pictures"].append(name)
            yield f"{_FOLDER}/{name}", picture

    def _name(self, header: DataSet) -> None:
        if self._patient:
            return
        shown = [_text(header, tag) for tag in (0x0010_0010, 0x0010_0020, 0x0010_0030)]
        self._patient = " · ".join(each for each in shown if each) or "Name unknown"
        shown = [_text(header, tag) for tag in (0x0008_0020, 0x0008_1030, 0x0008_0050)]
        self._study = " · ".join(each for each in shown if each)

    def _of(self, location: InstanceLocation, header: DataSet) -> dict[str, Any]:
        uid = location.series_instance_uid
        if uid not in self._series:
            said = [_text(header, tag) for tag in (0x0020_0011, 0x0008_103E)]
            label = " ".join(each for each in said if each) or _text(header, 0x0008_0060)
            self._series[uid] = {
                "folder": f"SE{len(self._series) + 1:06d}",
                "label": label or "Series",
                "moves": (location.number_of_frames or 1) > 1,
                "pictures": [],
            }
        return self._series[uid]

    def page(self) -> Iterator[tuple[str, bytes]]:
        """The page, its script and style, and what they show: written last."""
        shown: Sequence[dict[str, Any]] = [
            each for each in self._series.values() if each["pictures"]
        ]
        study = {"patient": self._patient, "study": self._study, "series": shown}
        data = b"window.exportedStudy = " + msgspec.json.encode(study) + b";\n"
        yield f"{_FOLDER}/STUDY.JS", data
        yield f"{_FOLDER}/VIEWER.JS", (_FILES / "VIEWER.JS").read_bytes()
        yield f"{_FOLDER}/VIEWER.CSS", (_FILES / "VIEWER.CSS").read_bytes()
        yield "INDEX.HTM", (_FILES / "INDEX.HTM").read_bytes()


def _text(header: DataSet, tag: int) -> str:
    return header.text(tag).replace("^", " ").strip()
