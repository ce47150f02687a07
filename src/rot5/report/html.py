"""HTML by construction: whatever is not an element is text, and text is escaped."""

import html
from collections.abc import Iterable

_VOID = {"br", "meta"}


class Html(str):
    """Text that is HTML already."""


def element(name: str, /, *children: str | None, **attributes: str | float | None) -> Html:
    """An element with escaped text, elements as they are, and without children or attributes that are None.

    A trailing `_` of an attribute is dropped and other underscores become hyphens.

    >>> element("p", "1 < 2", element("b", "yes"), class_="note")
    '<p class="note">1 &lt; 2<b>yes</b></p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[str | None]) -> Html:
    """Elements and texts, one after the other."""
    return Html(
        "".join(child if isinstance(child, Html) else html.escape(child) for child in children if child is not None)
    )
