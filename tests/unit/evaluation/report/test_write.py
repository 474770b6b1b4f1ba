"""The page is whole, safe and needs nothing from elsewhere."""

import json
import re
import time
from html.parser import HTMLParser

import pytest

from texlens.evaluation.comparison import compare
from texlens.evaluation.report import ReportData, RowCounts, write_report
from texlens.html.template import script_json
from texlens.metrics.prediction import Prediction
from texlens.metrics.registry import METRICS

NASTY = "<script>alert(1)</script><!-- & \u2028 {{ 7*7 }}"


def draw(formula):
    return "<svg xmlns='http://www.w3.org/2000/svg'></svg>"


class Elements(HTMLParser):
    """The tags of a page, and the text of each script."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self._in_script = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_data(self, data):
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag):
        self._in_script = False


def nasty_report(tmp_path, **more):
    comparison = compare(
        {
            "base": [Prediction(f"a{NASTY}", f"x {NASTY}", "y", domain=NASTY)],
            "adapter": [Prediction(f"a{NASTY}", f"x {NASTY}", f"z {NASTY}", domain=NASTY)],
        }
    )
    data = ReportData(
        NASTY,
        comparison,
        subtitle=NASTY,
        details=[(NASTY, NASTY)],
        config_yaml=NASTY,
        coverage=[{"group": NASTY, "matched": 1, "total": 1, "parameters": 5_898_240}],
        accounts=[RowCounts(NASTY, 2, 1, [NASTY])],
        history=[{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval_loss": 1.5}],
        notes=[NASTY],
    )
    return write_report(tmp_path / "report.html", data, draw=draw, **more).read_text()


def plain_report(tmp_path, systems, rows=3):
    predictions = [Prediction(str(row), "x", "x") for row in range(rows)]
    data = ReportData("A run", compare(dict.fromkeys(systems, predictions)))
    return write_report(tmp_path / "report.html", data, draw=draw).read_text()


def payload_of(page):
    return json.loads(
        re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.DOTALL).group(1)
    )


def test_nothing_from_a_row_or_a_setting_acts_as_markup(tmp_path):
    page = nasty_report(tmp_path)
    assert "<script>alert" not in page
    assert "<!--" not in page
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", page)[0]
    assert [tag for tag, _ in Elements(page).tags].count("script") == 2


def test_the_rows_come_through_the_page_unharmed(tmp_path):
    page = nasty_report(tmp_path)
    row = payload_of(page)["rows"][0]
    assert row["id"] == f"a{NASTY}"
    assert row["reference"].startswith("x < s c r i p t >")
    assert json.loads(Elements(page).scripts[0])["rows"][0] == row


def test_the_page_fetches_nothing(tmp_path):
    page = nasty_report(tmp_path)
    for tag, attributes in Elements(page).tags:
        assert tag not in ("link", "iframe", "object", "base"), tag
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    assert "http-equiv" in page
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(" not in page


def test_before_and_after_stand_at_the_head_with_their_interval(tmp_path):
    before = [Prediction(f"{row:03}", "x", "x" if row < 60 else "y") for row in range(200)]
    after = [Prediction(f"{row:03}", "x", "x" if row < 150 else "y") for row in range(200)]
    data = ReportData("A run", compare({"base": before, "adapter": after}))
    page = write_report(tmp_path / "r.html", data, draw=draw).read_text()
    assert '<span class="before">30.0%</span>' in page
    assert '<span class="after">75.0%</span>' in page
    assert '<span class="delta better">+45.0</span>' in page
    assert "p &lt; 0.0001" in page


def test_what_was_not_given_is_left_out(tmp_path):
    page = plain_report(tmp_path, ["base", "adapter"])
    assert 'id="training"' not in page
    assert 'id="run"' not in page
    assert "<h2>Rows</h2>" in page


def test_one_system_alone_has_a_report_of_its_own(tmp_path):
    page = plain_report(tmp_path, ["adapter"])
    assert "Only" not in payload_of(page)["outcomes"].values()
    assert ">Row by row</h" not in page
    assert 'class="before"' not in page


def test_three_systems_stand_side_by_side(tmp_path):
    page = plain_report(tmp_path, ["base", "first", "second"])
    assert payload_of(page)["systems"] == ["base", "first", "second"]
    assert page.count('class="track"') == 3 * len(METRICS)


def test_the_account_and_the_coverage_are_shown(tmp_path):
    page = nasty_report(tmp_path)
    assert "5,898,240" in page
    assert "Where the rows went" in page


def test_a_report_that_could_not_be_made_leaves_the_old_one(tmp_path):
    plain_report(tmp_path, ["base"])
    before = (tmp_path / "report.html").read_text()

    def broken(formula):
        raise ZeroDivisionError

    data = ReportData("Another", compare({"base": [Prediction("a", "x", "y")]}))
    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path / "report.html", data, draw=broken)
    assert (tmp_path / "report.html").read_text() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_same_data_gives_the_same_bytes(tmp_path):
    assert nasty_report(tmp_path) == nasty_report(tmp_path)


def test_json_inside_a_script_can_not_end_it():
    text = str(script_json({"a": "</script><!--&\u2029"}))
    assert not set("<>&\u2029") & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2029"}


def test_a_thousand_rows_are_written_in_seconds(tmp_path):
    rows = [Prediction(f"{row:05}", f"x ^ {{ {row} }} + y", f"x ^ {{ {row} }} - y") for row in range(1000)]
    comparison = compare({"base": rows, "adapter": rows}, resamples=10)
    start = time.process_time()
    page = write_report(tmp_path / "r.html", ReportData("Many", comparison), draw=draw).read_text()
    assert time.process_time() - start < 30
    assert len(payload_of(page)["rows"]) == 1000
    assert len(page) < 2_000_000
