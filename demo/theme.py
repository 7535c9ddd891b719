"""How the page looks: a quiet theme with one accent, the layout for desktop and phone. Nothing comes from outside."""

from pathlib import Path

import gradio as gr

STYLES = Path(__file__).with_name("page.css")

# One accent, a deep green-blue; the text on it has a contrast of at least 4.5 in light and dark.
ACCENT = gr.themes.Color(
    c50="#effaf9",
    c100="#d5f1ee",
    c200="#aee3de",
    c300="#7accc6",
    c400="#45b0aa",
    c500="#1f8f8a",
    c600="#137570",
    c700="#115e5b",
    c800="#124c4a",
    c900="#123f3e",
    c950="#052726",
    name="accent",
)

# Where it differs from Gradio's base theme, whose names these are.
VALUES = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "block_border_width": "0px",
    "block_padding": "0px",
    "block_label_text_color": "*neutral_600",
    "block_label_text_color_dark": "*neutral_300",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_300",
    "block_title_text_weight": "600",
    "input_background_fill": "white",
    "input_background_fill_dark": "*neutral_900",
    "input_border_width": "1px",
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "*neutral_700",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "input_border_color_focus": "*primary_600",
    "input_border_color_focus_dark": "*primary_400",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_dark": "*primary_600",
    "button_primary_background_fill_hover_dark": "*primary_700",
    "button_primary_text_color": "white",
    "button_primary_text_color_dark": "white",
    "button_secondary_background_fill_dark": "*neutral_800",
    "button_secondary_background_fill_hover_dark": "*neutral_700",
    "checkbox_background_color_dark": "*neutral_950",
    "checkbox_border_color_dark": "*neutral_500",
    "checkbox_label_background_fill_dark": "*neutral_800",
    "checkbox_label_background_fill_hover_dark": "*neutral_700",
    "button_cancel_background_fill": "*neutral_200",
    "button_cancel_background_fill_hover": "*neutral_300",
    "button_cancel_background_fill_dark": "*neutral_800",
    "button_cancel_background_fill_hover_dark": "*neutral_700",
    "button_cancel_text_color": "*neutral_900",
    "button_cancel_text_color_dark": "*neutral_100",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_400",
}


def theme() -> gr.themes.Base:
    """Return the theme."""
    base = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue="stone",
        radius_size="lg",
        # A font that Gradio ships; a GoogleFont would be fetched from outside.
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return base.set(**VALUES)
