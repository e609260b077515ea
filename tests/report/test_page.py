"""The page: complete, offline, and deaf to what a file tries to say in HTML."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from echoform.measure.measurement import Metadata, simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.reconstructor import Estimate
from echoform.report.page import Cell, Page, Section, Table, render
from echoform.report.run import Run, build_page, enlarged_target
from echoform.report.scores import Better, MethodResult, Score, score
from echoform.scene.grid import Grid

HOSTILE = (
    """</title></h1><script>alert("1")</script><img src="http://evil.example/x.png" onerror='x'>{{ 7 * 7 }} & <b>"""
)
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are balanced."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def run() -> Run:
    """Return a run whose texts try to break out of the page."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(1, 1, 24, 24, dtype=torch.complex64)
    x[0, 0, 15, 8] = 1.0
    weights = (torch.rand(1, 1, 24, 24, generator=generator) < 0.6).float()
    metadata = Metadata(
        title=HOSTILE,
        source="javascript:alert(1)",
        grid=Grid((24, 24), (0.5, 0.25)),
        truth=x,
        notes={HOSTILE: HOSTILE, "carrier": "9.6 GHz"},
    )
    noise = GaussianNoise(torch.tensor([0.01]))
    measurement = simulate(x, FourierMask(weights), noise, generator=generator, metadata=metadata)
    plain = MatchedFilter()(measurement)
    deviation = replace(plain, std=plain.mean.abs() + 0.1, facts={"scale": 0.5, "oddity": 2.0})
    target = enlarged_target(measurement, plain.mean)
    results = tuple(
        MethodResult(name, label, estimate, 0.123, score(measurement, estimate, held_out=measurement, target=target))
        for name, label, estimate in (("a", "Plain", plain), ("b", "Perfect", Estimate(x)), ("c", "Odd", deviation))
    )
    return Run(
        measurement,
        results,
        target=target,
        configuration={"command": "compare", "options": {"seed": 3, "methods": ("a", "b"), "weight": None}},
        finished="2026-01-01",
        dynamic_range_db=50.0,
        held_out=measurement,
        warnings=(f"beware of {HOSTILE}",),
    )


@pytest.fixture(scope="module")
def html(run: Run) -> str:
    return render(build_page(run))


def test_nothing_is_fetched(html: str) -> None:
    reader = parsed(html)
    addresses = [
        value or "" for name, value in reader.attributes if name in {"src", "href", "srcset", "data", "action"}
    ]
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    style = re.findall(r"<style>(.*?)</style>", html, flags=re.S)
    assert len(style) == 1
    assert "url(" not in style[0]
    assert "@import" not in style[0]
    assert "default-src 'none'" in html


def test_hostile_text_stays_text(html: str) -> None:
    reader = parsed(html)
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    assert "b" not in reader.tags
    text = "".join(reader.text)
    assert text.count(HOSTILE) == 6  # title, heading, warning, title among the facts, label and text of a note
    assert "{{ 7 * 7 }}" in text


def test_pictures_are_inside_and_described(html: str) -> None:
    reader = parsed(html)
    sources = [value or "" for name, value in reader.attributes if name == "src"]
    assert len(sources) == 5  # images, zoom, cuts, residual, uncertainty
    for source in sources:
        picture = base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert picture.endswith(b"IEND\xaeB`\x82")
    descriptions = [value or "" for name, value in reader.attributes if name == "alt"]
    assert len(descriptions) == len(sources)
    assert all(len(text) > 20 for text in descriptions)


def test_numbers_configuration_and_machine_are_there(html: str, run: Run) -> None:
    text = "".join(parsed(html).text)
    for piece in ("NMSE, dB", "−3 dB width, x, m", "Time, s", "0.12", "oddity", "9.6 GHz", "24 × 24 pixels"):
        assert piece in text
    for piece in ("seed", "methods", "a b", run.environment["torch"], run.environment["processor"]):
        assert piece in text


def test_best_of_a_row_is_marked(run: Run) -> None:
    table = build_page(run).sections[2].tables[0]
    rows = {row[0].text: row for row in table.rows}
    assert table.columns == ("Score", "Plain", "Perfect", "Odd")
    assert [cell.best for cell in rows["NMSE, dB"][1:]] == [False, True, False]
    assert [cell.best for cell in rows["Held-out prediction error, dB"][1:]] == [False, True, False]
    assert not any(cell.best for cell in rows["Entropy, nat"])
    assert not any(cell.best for cell in rows["Time, s"])


def test_zoom_follows_the_truth(run: Run) -> None:
    assert run.target == (15, 8)


def test_score_that_does_not_exist_wins_nothing(run: Run) -> None:
    results = tuple(
        replace(result, scores=(Score("k", "K", "dB", value, 1, Better.LOWER),))
        for result, value in zip(run.results, (float("nan"), 2.0, 1.0), strict=True)
    )
    table = build_page(replace(run, results=results)).sections[2].tables[0]
    assert [(cell.text, cell.best) for cell in table.rows[0][1:]] == [("–", False), ("2.0", False), ("1.0", True)]


def test_ragged_table_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Table(("one",), ((Cell("a"), Cell("b")),))


def test_empty_page_is_a_page() -> None:
    parsed(render(Page("t", "s", (Section("nothing"),))))
