"""Contrast of the page's colours, as WCAG 2.2 reckons it (relative luminance, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATES = ("waiting", "running", "paused", "committing", "completed", "refused", "failed", "cancelled")
# what stands on what, and the least ratio: 4.5 for text, 3 for lines and frames that say something
PAIRS = [
    *((front, back, 4.5) for front in ("text", "quiet", "link", *STATES) for back in ("ground", "panel")),
    *(("ground", state, 4.5) for state in (*STATES, "link")),  # names within bars, the button that does it
    *(("frame", back, 3.0) for back in ("ground", "panel")),
]


def palettes(pages: Path) -> dict[str, dict[str, str]]:
    """Colours by name, of the light and of the dark page."""
    light, dark = re.findall(r":root \{(.*?)\}", (pages / "style.css").read_text(encoding="utf-8"), re.DOTALL)
    return {name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for name, block in (("light", light), ("dark", dark))}


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, of ``#rrggbb``."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: str, other: str) -> float:
    """Contrast, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_that_of_the_standard() -> None:
    assert ratio("#000000", "#ffffff") == pytest.approx(21)
    assert ratio("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the grey that famously just fails


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(pages: Path, scheme: str) -> None:
    colours = palettes(pages)[scheme]
    low = {
        f"{front} on {back}": round(ratio(colours[front], colours[back]), 2)
        for front, back, least in PAIRS
        if ratio(colours[front], colours[back]) < least
    }
    assert low == {}


def test_both_palettes_have_the_same_names_and_nothing_else_has_a_colour(pages: Path) -> None:
    light, dark = palettes(pages).values()
    assert light.keys() == dark.keys()
    rest = re.sub(r":root \{.*?\}", "", (pages / "style.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r"#[0-9a-f]{3,8}\b", rest) == []
    assert set(re.findall(r"var\(--([\w-]+)\)", rest)) <= light.keys()
