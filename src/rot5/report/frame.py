"""What every report is framed in: one HTML file that needs nothing outside, a header, sections and links to them."""

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from rot5.report.html import Html, element, join

_NOTHING_FROM_OUTSIDE = "default-src 'none'; style-src 'unsafe-inline'"

Section = tuple[str, Html | None]


def write_html(
    folder: Path, title: str, body: Html, *, name: str = "report.html", style: str = "", script: str = ""
) -> Path:
    """Write a page into a folder, whole or not at all, and return its path.

    A `style` follows the one of all reports. A `script` stands at the end of the page; no other one can run there, nor
    one that a text brings along, for the page's policy names its sha256.
    """
    path, partial = folder / name, folder / f"partial-{name}"
    partial.write_bytes(_page(title, body, style, script).encode("utf-8", errors="replace"))
    os.replace(partial, path)
    return path


def header(title: str, about: str, figures: Html | None = None) -> Html:
    """What the page is about, at its top, and what it comes to."""
    kicker = element("p", "ROT5 report", class_="kicker")
    return element("header", kicker, element("h1", title), element("p", about), figures)


def in_sections(parts: Sequence[Section]) -> Html:
    """Sections under headings, and links to them above."""
    shown = [(f"section-{n}", title, content) for n, (title, content) in enumerate(parts) if content]
    links = [element("li", element("a", title, href=f"#{anchor}")) for anchor, title, _ in shown]
    return join(
        [
            element("nav", element("ul", *links), aria_label="Sections"),
            element(
                "main",
                *(element("section", element("h2", title), content, id=anchor) for anchor, title, content in shown),
            ),
        ]
    )


def asset(name: str) -> str:
    """The text of a file that lies beside this one."""
    return resources.files("rot5.report").joinpath(name).read_text(encoding="utf-8")


def _page(title: str, body: Html, style: str, script: str) -> Html:
    policy, scripts = _NOTHING_FROM_OUTSIDE, []
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy, scripts = f"{policy}; script-src 'sha256-{digest}'", [element("script", Html(script))]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("title", f"{title} · ROT5 report"),
        element("style", Html(asset("style.css") + asset("figures.css") + style)),
    )
    return Html(f"<!DOCTYPE html>\n{element('html', head, element('body', body, *scripts), lang='en')}\n")
