"""The pieces that every report is made of: a page of HTML that needs nothing but itself, tiles, cards, tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files


def document(title: str, body: str, *, style: str = "") -> str:
    """A whole page around ``body``, which is HTML; ``style`` is added to the style sheet that all reports share."""
    shared = files("burnqed.report").joinpath("report.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{shared}{style}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def tile(number: str, what: str, kind: str = "") -> str:
    """A figure in large letters; ``kind`` is ``good``, ``bad`` or nothing."""
    return f'<div class="tile {kind}"><b>{escape(number)}</b><span>{escape(what)}</span></div>'


def card(title: str, body: str) -> str:
    """A frame with a title around ``body``, which is HTML."""
    return f'<div class="card"><h3>{escape(title)}</h3>{body}</div>'


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; whole numbers get commas."""
    top = "".join(f"<th>{escape(h)}</th>" for h in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_cell(c))}</td>' for c in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def size(n: int) -> str:
    """Bytes as people say them."""
    for unit_bytes, unit in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if n >= unit_bytes:
            return f"{n / unit_bytes:.1f} {unit}"
    return f"{n} bytes"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
