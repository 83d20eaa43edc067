"""A person works the queue of images that did not find their order, by keyboard alone."""

import re


def expect(locator):
    from playwright.sync_api import expect as made  # noqa: PLC0415 - skipped where it is absent

    return made(locator)


def test_the_queue_is_worked_by_keyboard(site, open_page):
    number = site.hospital.order(1)
    site.hospital.scan("TYPO", 1)
    page = open_page("tom", "/reconciliation")
    expect(page.get_by_role("navigation").get_by_text("(1 study needs a person)")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Which exam")).to_be_visible()
    page.keyboard.press("v")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Which exam")).to_be_visible()
    page.keyboard.press("h")
    expect(page.get_by_role("dialog")).to_contain_text("Let these images rest")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("m")
    page.keyboard.press("1")
    expect(page.locator("input:focus")).to_have_count(1)  # a reason is asked for first
    page.keyboard.type("called the scanner")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Matched")).to_be_visible()
    site.hospital.dispatcher.run_once()
    page.goto("/reconciliation")
    expect(page.get_by_text("Everything has found its order.")).to_be_visible()
    assert re.search(r"needs? a person", page.get_by_role("navigation").inner_text()) is None
    page.goto(f"/exams/{number}")
    expect(page.locator("#images .thumb")).to_have_count(1)
