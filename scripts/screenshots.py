"""Pictures of the page and of the two pages that are files, for the documentation.

    python scripts/screenshots.py runs/studies/bases/teacher runs/studies/bases/teacher-pretrained \\
        --runs runs/studies/bases

takes models that are run folders with a report, and writes docs/images/*.png. Chromium has to be installed.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

SIZE = {"width": 1280, "height": 900}
PATIENCE = 300_000
"""Milliseconds that anything may take."""
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.mouse.move(0, 0)


def summarize(page: Any) -> None:
    press(page, "Summarize")
    page.locator(".verdict").last.wait_for()


def denoise(page: Any) -> None:
    page.get_by_role("tab", name="Denoise").click()
    press(page, "Mask and fill")
    page.get_by_text("Done: ").wait_for()
    page.get_by_text("With special tokens", exact=True).scroll_into_view_if_needed()


def inspect(page: Any) -> None:
    page.get_by_role("tab", name="Inspect").click()
    press(page, "Look inside")
    frame = page.frame_locator("iframe")
    frame.locator("#attention .said").wait_for()
    frame.get_by_role("button", name="layer 2, head 1").click()
    frame.get_by_role("link", name="Attention").click()
    page.mouse.move(0, 0)


def runs(page: Any) -> None:
    page.get_by_role("tab", name="Runs").click()
    page.locator("figure").first.wait_for()
    page.wait_for_timeout(7000)  # until all runs are read


TABS: dict[str, Callable[[Any], None]] = {"summarize": summarize, "denoise": denoise, "inspect": inspect, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures of the page, for the documentation.")
    parser.add_argument("models", nargs="+", help="run folders; the first one's report is taken")
    parser.add_argument("--runs", default="runs", help="folder of the runs that are shown")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    words = ["serve", *given.models, "--ui", "true", "--runs", given.runs, "--port", "0"]
    server = subprocess.Popen([Path(sys.executable).with_name("rot5"), *words], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = next((line.split()[-1] for line in server.stdout if line.startswith("serving at")), None)
    try:
        if url is not None:
            take(url, Path(given.models[0]) / "report.html", given.out)
    finally:
        server.terminate()
    sys.exit(server.wait() if url else "the server did not start")


def take(url: str, report: Path, out: Path) -> None:
    found = os.environ.get("ROT5_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=ARGUMENTS)
        for name, show in TABS.items():
            shoot(browser, url, show, out / f"{name}.png")
        shoot(browser, url, summarize, out / "summarize-dark.png", "dark")
        shoot(browser, report.resolve().as_uri(), lambda page: None, out / "report.png")

        def look(page: Any) -> None:
            inspect(page)
            page.goto(url + "/" + str(page.get_by_role("link", name="Open the page by itself").get_attribute("href")))
            page.get_by_role("link", name="Attention").click()
            page.locator("#attention").get_by_role("button", name="Cross-attention").click()
            page.get_by_role("button", name="layer 2, head 1").click()

        shoot(browser, url, look, out / "inside.png")
        browser.close()


def shoot(browser: Any, url: str, show: Callable[[Any], None], path: Path, scheme: str = "light") -> None:
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    show(page)
    page.wait_for_timeout(500)
    page.screenshot(path=path)
    page.close()
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
