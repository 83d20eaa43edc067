"""Images that become sharper while they load, in a real browser.

What is shown before all of an image is there is called a preview, nothing is measured on it, and
at the end every value is the one that was stored.
"""

import numpy as np
from pydicom.uid import generate_uid

from isocenter.app.renditions import ProcessorShare, RenditionMaker
from isocenter.domain.access.model import Actor
from isocenter.domain.archive.service import renditions
from isocenter.infra.blobs.several import SeveralStores
from tests.e2e.pages.test_workspace import canvas_points, expect, go, voxels, ward
from tests.e2e.pages.workspace_images import a_slice, ct, part10
from tests.e2e.product import until

__all__ = ["ward"]  # a fixture
SYSTEM = Actor.system("test")


def make_renditions(hospital, study_uid):
    now = hospital.clock()
    with hospital.database.transaction() as tx:
        assert renditions.want_renditions(tx, SYSTEM, study_uid, ["CT"], now=now) == 1
    stores = SeveralStores({"main": hospital.blobs})
    share = ProcessorShare(100, lambda _: None)
    maker = RenditionMaker(
        hospital.database, stores, SYSTEM, hospital.clock, ("CT",), share, lambda: False
    )
    assert maker.run() == 3


def test_a_preview_is_called_one_and_measured_on_when_the_image_is_whole(ward):
    number, study_uid = ward.hospital.order(3), generate_uid()
    slices = ct(study_uid, number, patient=3, count=3)
    slices[1].PixelRepresentation, slices[1].RescaleIntercept = 1, 0
    slices[1].PixelData = a_slice(2).astype("<i2").tobytes()
    ward.store([part10(each) for each in slices])
    make_renditions(ward.hospital, study_uid)
    page = ward.context.new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: ward.complaints.append(str(error)))
    held, released = [], []

    def hold_the_rest(route):
        if begins(route.request) and not released:
            held.append(route)
        else:
            route.continue_()

    page.route("**/frames/*?accept=*", hold_the_rest)
    page.goto(f"/studies/{study_uid}/read", wait_until="commit")
    quality = page.locator(".pane .quality").first
    expect(quality).to_contain_text("Preview", timeout=60_000)
    until(lambda: page.evaluate("1") and held, what="the rest of the image is asked for")
    page.keyboard.press("e")
    draw(page, [(30, 30), (60, 50)])
    assert page.evaluate("isocenterWorkspace.measurements.list.length") == 0

    released.append(True)
    for each in held:
        each.continue_()
    page.wait_for_selector("html[data-ready=true]")
    expect(quality).not_to_contain_text("Preview")
    np.testing.assert_array_equal(voxels(page), a_slice(2))
    draw(page, [(30, 30), (60, 50)])
    expect(page.locator("#measurement-count")).to_have_text("1")
    go(page, 0)
    np.testing.assert_array_equal(voxels(page), a_slice(1))
    page.close()


def begins(request):
    """The first byte that is asked for."""
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").split("-")[0])


def draw(page, indices):
    first, last = canvas_points(page, indices)
    page.mouse.move(*first)
    page.mouse.down()
    page.mouse.move(*last, steps=5)
    page.mouse.up()
