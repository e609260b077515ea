"""One self-contained HTML page: no network, no script, every picture inside it, every text escaped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from echoform.report.figures import Figure


@dataclass(frozen=True)
class Cell:
    """One cell of a table; ``best`` marks the winner of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text under column headings; the first cell of a row is its heading.

    Attributes:
        columns: headings, the first one over the row headings.
        rows: cells, each row as long as ``columns``.
        caption: one line above the table, or nothing.
        note: small print below it, or nothing.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells, the table {len(self.columns)} columns")


@dataclass(frozen=True)
class Section:
    """A heading with pictures, text and tables below it, in this order: paragraphs, figures, tables."""

    title: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: heading, may come from a file.
        subtitle: one line below it.
        warnings: what a reader must know before trusting a number.
        sections: in reading order.
        footer: version and time.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    footer: str = ""


def render(page: Page) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(page=page)
