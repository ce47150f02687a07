"""How the page looks: the colours of the reports, in light and in dark, and the fonts of the machine."""

from gradio.themes import Base
from gradio.themes.utils.sizes import radius_sm, text_md

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONOSPACE = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

COLOURS = {
    "body_background_fill": ("#fdfdfb", "#14181a"),
    "background_fill_primary": ("#fdfdfb", "#14181a"),
    "background_fill_secondary": ("#f3f5f4", "#1c2225"),
    "block_background_fill": ("#fdfdfb", "#14181a"),
    "block_border_color": ("#dfe3e3", "#2c3437"),
    "border_color_primary": ("#dfe3e3", "#2c3437"),
    "border_color_accent": ("#0b6b74", "#5cc4cc"),
    "body_text_color": ("#1d2326", "#e4e9ea"),
    "body_text_color_subdued": ("#5d686d", "#9aa7ac"),
    "block_label_text_color": ("#5d686d", "#9aa7ac"),
    "block_label_background_fill": ("#fdfdfb", "#14181a"),
    "block_title_text_color": ("#1d2326", "#e4e9ea"),
    "block_info_text_color": ("#5d686d", "#9aa7ac"),
    "input_background_fill": ("#ffffff", "#1c2225"),
    "input_border_color": ("#8b979c", "#5d686d"),
    "input_border_color_focus": ("#0b6b74", "#5cc4cc"),
    "input_placeholder_color": ("#5d686d", "#9aa7ac"),
    "link_text_color": ("#0b6b74", "#5cc4cc"),
    "link_text_color_hover": ("#0b6b74", "#5cc4cc"),
    "link_text_color_visited": ("#0b6b74", "#5cc4cc"),
    "link_text_color_active": ("#0b6b74", "#5cc4cc"),
    "color_accent": ("#0b6b74", None),
    "color_accent_soft": ("#dcecee", "#1f3a3d"),
    "slider_color": ("#0b6b74", "#5cc4cc"),
    "button_primary_background_fill": ("#0b6b74", "#5cc4cc"),
    "button_primary_background_fill_hover": ("#085760", "#7ad3da"),
    "button_primary_border_color": ("#0b6b74", "#5cc4cc"),
    "button_primary_border_color_hover": ("#085760", "#7ad3da"),
    "button_primary_text_color": ("#ffffff", "#10181a"),
    "button_secondary_background_fill": ("#f3f5f4", "#1c2225"),
    "button_secondary_background_fill_hover": ("#e6eae9", "#273035"),
    "button_secondary_border_color": ("#8b979c", "#5d686d"),
    "button_secondary_border_color_hover": ("#5d686d", "#9aa7ac"),
    "button_secondary_text_color": ("#1d2326", "#e4e9ea"),
    "checkbox_background_color": ("#ffffff", "#1c2225"),
    "checkbox_background_color_selected": ("#0b6b74", "#0b6b74"),
    "checkbox_border_color": ("#8b979c", "#5d686d"),
    "checkbox_border_color_selected": ("#0b6b74", "#5cc4cc"),
    "checkbox_border_color_focus": ("#0b6b74", "#5cc4cc"),
    "checkbox_label_background_fill": ("#f3f5f4", "#1c2225"),
    "checkbox_label_background_fill_hover": ("#e6eae9", "#273035"),
    "checkbox_label_background_fill_selected": ("#dcecee", "#1f3a3d"),
    "checkbox_label_border_color": ("#dfe3e3", "#2c3437"),
    "checkbox_label_border_color_selected": ("#0b6b74", "#5cc4cc"),
    "checkbox_label_text_color": ("#1d2326", "#e4e9ea"),
    "checkbox_label_text_color_selected": ("#1d2326", "#e4e9ea"),
}
"""By variable of Gradio's themes: in light, in dark."""


def theme() -> Base:
    """A theme that asks nothing of the network: its fonts are those that are there."""
    plain = Base(
        font=list(FONTS),
        font_mono=list(MONOSPACE),
        radius_size=radius_sm,
        text_size=text_md,
    )
    settings = {name: light for name, (light, _) in COLOURS.items()}
    settings |= {f"{name}_dark": dark for name, (_, dark) in COLOURS.items() if dark}
    return plain.set(
        **settings,
        block_border_width="0px",
        block_label_shadow="none",
        block_padding="0px",
        block_shadow="none",
        button_border_width="1px",
        checkbox_shadow="none",
        form_gap_width="1rem",
        input_border_width="1px",
    )
