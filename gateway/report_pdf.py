"""A report as PDF with Chinese text: one table under a head of facts, with room for a seal and signatures.

The font is embedded, cut down to the characters used, so that the file looks the same on every machine and its text can
be searched and copied. No such font is part of this project: one of the machine's is used, or the one that is named.
Needs the package ``fpdf2`` (extra ``pdf``), imported when a PDF is asked for and not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.errors import BadInput

FONTS = (
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/google-noto-sans-cjk-vf-fonts/NotoSansCJK-VF.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"),
)
_SIMPLIFIED = 2
"""Place of the simplified Chinese face in Noto's collection; other collections have one face for all."""
_SMALL, _PLAIN, _LARGE = 7, 9, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the report says. ``facts`` stand above the table as (name, value), ``signatures`` below it."""

    title: str
    facts: Sequence[tuple[str, str]]
    columns: Sequence[str]
    widths: Sequence[int]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str]
    signatures: Sequence[str]


def pdf(page: Page, *, at: datetime, font: Path | None = None) -> bytes:
    """The file. Raises BadInput where there is no font or no package."""
    document = _document(_font(font), at)
    document.set_title(page.title)
    document.set_font_size(_LARGE)
    document.cell(0, 12, page.title, align="C", new_x="LMARGIN", new_y="NEXT")
    document.set_font_size(_PLAIN)
    for name, value in page.facts:
        document.multi_cell(0, 5.5, f"{name}：{value}", new_x="LMARGIN", new_y="NEXT")
    document.ln(2)
    _table(document, page)
    document.set_font_size(_PLAIN)
    document.ln(3)
    for note in page.notes:
        document.multi_cell(0, 5.5, note, new_x="LMARGIN", new_y="NEXT")
    document.ln(6)
    for line in page.signatures:
        document.cell(0, 9, line, new_x="LMARGIN", new_y="NEXT")
    return bytes(document.output())


def _table(document: Any, page: Page) -> None:
    document.set_font_size(_SMALL)
    with document.table(col_widths=tuple(page.widths), line_height=4, text_align="LEFT", padding=0.8) as table:
        for cells in (page.columns, *page.rows):
            row = table.row()
            for cell in cells:
                row.cell(_breakable(str(cell)))


def _breakable(text: str) -> str:
    """Long ids and addresses may break anywhere, or they would run out of their cell."""
    return "\u200b".join(text[start : start + 8] for start in range(0, len(text), 8)) if " " not in text else text


def _document(font: Path, at: datetime) -> Any:
    try:
        fpdf = importlib.import_module("fpdf")
    except ImportError:
        raise BadInput("a PDF needs the package fpdf2: install tongguan with the extra pdf") from None

    def footer() -> None:
        document.set_y(-12)
        document.set_font_size(_SMALL)
        document.cell(0, 6, f"第 {document.page_no()} 页 / 共 {{nb}} 页", align="C")

    if not _is_font(font):
        raise BadInput(f"{font}: is no font file")
    document = fpdf.FPDF(orientation="landscape", format="A4")
    document.footer = footer
    document.set_creation_date(at)
    document.set_margin(12)
    try:
        number = _SIMPLIFIED if font.name.startswith("NotoSansCJK") else 0
        for style in ("", "B"):
            document.add_font("report", style=style, fname=str(font), collection_font_number=number)
        document.set_font("report", size=_PLAIN)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"{font}: cannot be used as a font ({type(error).__name__})") from None
    document.add_page()
    return document


def _is_font(path: Path) -> bool:
    """By its first bytes (OpenType, "Organization of an OpenType Font"); the package would leave other files open."""
    with path.open("rb") as file:
        return file.read(4) in (b"ttcf", b"OTTO", b"true", b"\x00\x01\x00\x00")


def _font(given: Path | None) -> Path:
    if given is not None:
        if not given.is_file():
            raise BadInput(f"{given}: there is no such font file")
        return given
    found = next((path for path in FONTS if path.is_file()), None)
    if found is None:
        raise BadInput(
            "a PDF needs a font with Chinese characters: name one with --font, or install one "
            "(Debian, Ubuntu: apt-get install fonts-noto-cjk)"
        )
    return found
