"""What a browser shows, as a picture."""

from pathlib import Path

from playwright.sync_api import Error, Locator, Page


def captured(of: Page | Locator, path: Path | None = None) -> bytes:
    """The PNG of a page or element; Chromium, which at times has just no frame, is asked thrice.

    Raises: Error: whatever else the browser says, and the third such answer.
    """
    for _ in range(2):
        try:
            return of.screenshot(path=path)
        except Error as error:
            if "Unable to capture screenshot" not in error.message:
                raise
    return of.screenshot(path=path)
