"""A person works with the pages, mostly by keyboard."""

import re

import pytest


def expect(locator):
    from playwright.sync_api import expect as made  # noqa: PLC0415 - skipped where it is absent

    return made(locator)


def test_a_wrong_password_says_so_and_keeps_the_name(chromium, site):
    site.hospital.user("ada")
    page = chromium.new_page(base_url=site.url)
    page.goto("/exams/whatever")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not fit together")
    expect(page.get_by_label("User name")).to_have_value("ada")
    expect(page.get_by_label("Password")).to_be_focused()
    page.close()


def test_the_board_is_worked_by_keyboard(site, open_page):
    numbers = [site.hospital.order(number, name=f"Phantom{number}^Ada") for number in (1, 2, 3)]
    page = open_page("ada")
    page.keyboard.press("/")
    page.keyboard.type("phantom2")
    expect(page.locator("#exams tbody tr")).to_have_count(1)
    assert "text=phantom2" in page.url
    page.locator("body").click(position={"x": 2, "y": 400})
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/exams/{numbers[1]}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next, previous row")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/deliveries")


def test_an_exam_page_follows_what_happens(site, open_page):
    number = site.hospital.order(1)
    page = open_page("ada", f"/exams/{number}")
    expect(page.locator("#stream-state")).to_have_text("Live")
    expect(page.get_by_text("No images yet.")).to_be_visible()
    site.hospital.scan(number, 1)
    expect(page.locator("#images .thumb")).to_have_count(1)
    expect(page.locator("#timeline .hop.done .name", has_text="Images received")).to_contain_text(
        "3 images"
    )
    thumbnail = page.locator("#images img")
    expect(thumbnail).to_have_js_property("complete", True)
    assert thumbnail.evaluate("image => image.naturalWidth") > 0


def test_a_radiologist_reads_and_signs(site, open_page):
    number = site.hospital.order(1)
    site.hospital.scan(number, 1)
    site.hospital.quiet()
    page = open_page("ada", f"/exams/{number}")
    page.goto(f"/exams/{number}/read?plain=true")
    image = page.locator("#image")
    expect(image).to_be_visible()
    expect(page.locator("#place")).to_have_text("1 / 3")
    first = image.get_attribute("src")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#place")).to_have_text("2 / 3")
    expect(image).not_to_have_attribute("src", first)
    page.locator("#view").hover()
    page.mouse.wheel(0, 40)
    expect(page.locator("#place")).to_have_text("3 / 3")
    page.keyboard.press("2")
    expect(image).to_have_attribute("src", re.compile("window=-600"))
    page.keyboard.press("r")
    page.keyboard.type("No focal lesion.")
    expect(page.locator("#draft-state")).to_contain_text("Draft saved")
    page.reload()
    expect(page.locator("#text")).to_have_value("No focal lesion.")
    page.locator("#text").focus()
    page.keyboard.press("End")
    page.keyboard.type(" Normal.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Phantom, Ada")
    page.get_by_role("button", name="Sign as Ada Phantom").click()
    page.wait_for_url(f"**/exams/{number}?done=signed")
    expect(page.locator("#report")).to_contain_text("No focal lesion. Normal.")
    with site.hospital.program("ada") as program:
        (report,) = program.get("/api/reports", params={"accession_number": number}).json()
    assert report["state"] == "signed"
    assert report["version"] == 1


def test_a_technologist_matches_images_with_their_exam(site, open_page):
    number = site.hospital.order(1)
    study_uid = site.hospital.scan("I0000OO1", 1)
    page = open_page("tom")
    page.get_by_role("link", name="Reconciliation", exact=True).first.click()
    page.get_by_role("link", name="Decide").click()
    candidate = page.locator(".candidate", has_text=number)
    candidate.get_by_label("Reason").fill("called the scanner")
    candidate.get_by_role("button", name=f"Match to {number}").click()
    page.wait_for_url(f"**/studies/{study_uid}?done=matched")
    expect(page.get_by_role("status").first).to_contain_text("have found each other")


def test_pages_work_without_scripts(site, open_page):
    number = site.hospital.order(1)
    site.hospital.scan(number, 1)
    page = open_page("ada", java_script_enabled=False)
    page.get_by_label("Search").fill("phantom")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=number).first.click()
    page.get_by_role("link", name="Read", exact=False).first.click()
    page.locator("#text").fill("Written without scripts.")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_role("status").first).to_contain_text("The draft is saved.")


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_the_window(site, open_page, width, scheme):
    number = site.hospital.order(1, name="Phantom-With-A-Very-Long-Name^" + "Wolfeschlegel" * 4)
    study_uid = site.hospital.scan("I0000OO1", 1)
    viewport = {"width": width, "height": 844}
    page = open_page("root", viewport=viewport, color_scheme=scheme)
    paths = ("/", f"/exams/{number}", f"/exams/{number}/read", f"/reconciliation/{study_uid}")
    paths += (
        "/reconciliation",
        "/deliveries",
        "/messages",
        "/interfaces",
        "/stations",
        "/peers",
        "/routes",
        "/users",
        "/audit",
        "/system",
    )
    for path in paths:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        ratio = page.evaluate(CONTRAST)
        assert ratio >= 4.5, (path, ratio)


# WCAG 2.2 1.4.3: the least contrast of text on the page's own surfaces.
CONTRAST = """() => {
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const weights = [0.2126, 0.7152, 0.0722];
  const light = (rgb) => weights.reduce((sum, w, i) => sum + w * linear(rgb[i] / 255), 0);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const rgb = parse(getComputedStyle(node).backgroundColor);
      if (rgb.length === 3 || rgb[3] > 0.99) return rgb;
    }
    return [255, 255, 255];
  };
  let least = 21;
  for (const node of document.querySelectorAll("main *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest(":disabled, .visually-hidden")) continue;
    const pair = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const [a, b] = pair.sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
}"""
