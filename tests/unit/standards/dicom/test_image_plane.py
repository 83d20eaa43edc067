"""Places in images: the worked example of the standard's equation, and functional groups."""

import numpy as np

from isocenter.standards.dicom.image_plane import image_plane
from isocenter.standards.dicom.values_model import DataSet


def header(position, axes, spacing):
    made = DataSet()
    made.put("ImagePositionPatient", *map(str, position))
    made.put("ImageOrientationPatient", *map(str, axes))
    made.put("PixelSpacing", *map(str, spacing))
    return made


def test_a_place_in_the_patient_is_found_in_an_oblique_image_with_oblong_pixels():
    turn = np.linalg.qr(np.array([[1.0, 0.2, 0.1], [0.1, 1.0, 0.3], [-0.2, 0.1, 1.0]]))[0]
    row, column = turn[:, 0], turn[:, 1]
    position, spacing = np.array([-3.0, 7.5, 100.0]), (0.5, 2.0)  # between rows, between columns
    plane = image_plane(header(position, [*row, *column], spacing))
    # PS3.3 C.7.6.2.1.1: the equation that leads from (column, row) to the patient
    at = position + row * spacing[1] * 11.25 + column * spacing[0] * 40.75
    assert np.allclose(plane.to_image(at), (11.75, 41.25))


def test_each_frame_has_its_own_place_where_the_image_says_so():
    measures, orientation = DataSet(), DataSet()
    measures.put("PixelSpacing", "1", "1")
    orientation.put("ImageOrientationPatient", "1", "0", "0", "0", "1", "0")
    shared = DataSet()
    shared.put("PixelMeasuresSequence", measures)
    shared.put("PlaneOrientationSequence", orientation)
    frames = []
    for depth in (0, 5):
        position, frame = DataSet(), DataSet()
        position.put("ImagePositionPatient", "0", "0", str(depth))
        frame.put("PlanePositionSequence", position)
        frames.append(frame)
    made = DataSet()
    made.put("SharedFunctionalGroupsSequence", shared)
    made.put("PerFrameFunctionalGroupsSequence", *frames)
    assert image_plane(made, 1).position == (0, 0, 0)
    assert image_plane(made, 2).position == (0, 0, 5)
    assert image_plane(made, 3) is None
    assert image_plane(DataSet()) is None
