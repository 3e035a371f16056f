"""The page of a run stands alone, escapes what it shows, and is the same each time; a browser can read it."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from experiments.experiment import Plot, Report, Table
from experiments.report.page import comparison, page
from experiments.report.plots import COLOURS, figure, legend_below, svg
from experiments.report.tables import text

VOID = {"meta", "br", "img", "path", "use", "rect", "line"}


def draw():
    chart, (axes,) = figure()
    axes.plot([0, 1, 2], [1.0, 0.5, 0.25], color=COLOURS[0], label="seed 0")
    axes.set(xlabel="step", ylabel="loss <&>")
    legend_below(chart, axes, columns=1)
    return chart


ROWS = [["0", "grid <x>", "0.25"], ["0", "learned", "0.125"]]

REPORT = Report(
    question="Is <b>it</b> better?",
    findings=["Learned against the best search, validation loss: -20.0 %."],
    tables=[Table("Results", ["seed", "method", "valid.\nloss"], ROWS, ["A note."])],
    plots=[Plot("losses", "Loss after each step.", draw), Plot("again", "The same.", draw)],
)  # fmt: skip

OPTIONS = {
    "name": "runs/a",
    "description": "",
    "status": "finished",
    "seconds": 3.21,
    "error": None,
    "config": {
        "experiment": "bilevel",
        "inner": {"optimizer": {"name": "SGD", "lr": 0.5}},
        "learn": {"optimizer.lr": {}},
    },
    "differing": {("inner", "optimizer", "lr"), ("learn", "optimizer.lr", "name")},
    "environment": {"versions": {"hograd": "0.1"}, "started": "today", "platform": "Linux", "processors": 2},
}


class Reader(HTMLParser):
    """Collects tags, texts and marks, and sees that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.texts, self.marked = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] == "mark":
            self.marked.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert not reader.open
    return reader


def test_page_shows_everything_and_needs_nothing_else():
    html = page(REPORT, **OPTIONS)
    reader = read(html)
    whole = " ".join(" ".join(reader.texts).split())
    for expected in (
        "Is <b>it</b> better?",
        "grid <x>",
        "0.125",
        "valid. loss",
        "A note.",
        "Loss after each step.",
        "hograd",
    ):
        assert expected in whole
    assert reader.marked == ["marked", "0.5", "optimizer.lr"]
    assert not [tag for tag, attributes in reader.tags if attributes.get("src") or tag in ("script", "link", "b")]
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons)", html)


def test_what_failed_says_so():
    html = page(REPORT, **OPTIONS | {"status": "failed", "error": "seed0: the loss is <nan>"})
    assert "This run is failed: seed0: the loss is &lt;nan&gt;." in html


def test_figures_take_the_colour_of_the_page_and_share_no_names():
    first, second = svg(draw(), "losses"), svg(draw(), "again")
    assert svg(draw(), "losses") == first
    assert "#000000" not in first
    assert "currentColor" in first
    assert COLOURS[0].lower() in first.lower()
    names = [set(re.findall(r'\bid="([^"]*)"', one)) for one in (first, second)]
    assert not names[0] & names[1]
    # Whatever is referred to is there.
    assert set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', first)) <= {
        pair for name in names[0] for pair in ((name, ""), ("", name))
    }
    head = first[: first.index(">")]
    assert "viewBox" in head
    assert "width" not in head


def test_text_of_a_report_fits_a_terminal():
    shown = text(REPORT)
    assert max(map(len, shown.splitlines())) <= 80
    assert "Learned against the best search" in shown
    assert shown.splitlines()[3] == "   0  grid <x>    0.25"


def test_a_long_table_of_details_is_folded_and_stays_off_the_terminal():
    each = Table("Each seed", ["seed", "loss"], [[str(seed), "0.5"] for seed in range(9)], ["Of all."], detail=True)
    report = Report("Is it?", tables=[Table("Means", ["loss"], [["0.5"]]), each])
    assert "Each seed: 9 rows, in table.txt and on the page." in text(report, most=8)
    assert "8   0.5" in text(report)
    html = page(report, **OPTIONS)
    assert "<details><summary>Each seed</summary>" in html
    read(html)


def test_sections_at_their_defaults_are_folded():
    html = page(REPORT, **OPTIONS)
    shown, folded = html.split("Sections at their defaults")
    assert "inner" in shown[shown.index("Config") :]
    assert "experiment" in folded


def test_comparison_of_runs():
    runs = [{"name": "runs/a", "status": "finished", "seconds": 1.0, "findings": ["Good."]}]
    reader = read(comparison(runs, (["seed", "loss"], [["0", "0.1"]]), (["key", "runs/a"], [["inner.steps", "3"]])))
    whole = " ".join(" ".join(reader.texts).split())
    assert "1 runs side by side" in whole
    assert "inner.steps 3" in whole


def test_a_browser_shows_the_page(tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no chromium")
    (tmp_path / "page.html").write_text(page(REPORT, **OPTIONS))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    dumped = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=400,800", "--dump-dom",
         (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if dumped.returncode < 0:
        pytest.skip(f"chromium cannot start here: signal {-dumped.returncode}, as under a limit of memory")
    assert "Is &lt;b&gt;it&lt;/b&gt; better?" in dumped.stdout
    assert dumped.stdout.count("<svg") == 2
