"""The report on made-up files: complete, in order, self-contained, and every value escaped."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from tests.study import ROOT, merged

from forgetting import tables
from forgetting.analysis.summary import save_table
from forgetting.config.jobs.base import Job
from forgetting.config.study import load_study
from forgetting.errors import StudyError
from forgetting.figures.catalogue import Shown, read_catalogue
from forgetting.pipeline.command import made_by
from forgetting.report.html import duration
from forgetting.report.page import against_seq, caption_html, table_for_reading, write_report
from forgetting.schemas.metrics import METRICS
from forgetting.stages.measurements import of_run, run_metrics
from forgetting.tables import write_table

TEMPLATE = ROOT / "workflow" / "report"
PICTURE = b"\x89PNG\r\n\x1a\nnot really"
CATALOGUE = read_catalogue()
VERDICT = CATALOGUE["table_verdict"].model_copy(update={"title": "The verdict on <every> arm of `all`."})
SHOWN = [CATALOGUE["fig_performance"], CATALOGUE["fig_answers"], VERDICT]
GATE = {"gate": "task0_before", "value": 0.5, "comparison": ">=", "threshold": 0.95, "seed": 0, "scale": "smoke"}


class Page(HTMLParser):
    """Tags that need an end and have none, anchors, links, and whatever a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if tag == "a" else []
        self.loaded += [given[name] or "" for name in ("src", "srcset", "data") if name in given]
        self.loaded += [given["href"] or ""] if tag == "link" else []
        if tag == "img":
            assert given["alt"]
        if tag not in ("meta", "img", "br", "hr", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The folder of a study with two figures, a table and a job."""
    folder = tmp_path / "results" / "smoke"
    for name in ("performance", "answers"):
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        (folder / "figures" / f"{name}.png").write_bytes(PICTURE + name.encode())
    verdict = {"arm": ["seq", "replay-20"], "conclusion": ["Nothing < everything & more.", "All is well."], "drop": [0.9, 0.1]}
    (folder / "tables").mkdir()
    save_table(pd.DataFrame(verdict), [folder / "tables" / "verdict"])
    (folder / "benchmarks" / "seed0").mkdir(parents=True)
    (folder / "benchmarks" / "seed0" / "pretrain.tsv").write_text("s\tmax_rss\tcpu_time\n120.5\t800.2\t200.1\n")
    (folder / "config.json").write_text(load_study(merged("smoke.yaml")).model_dump_json())
    return folder


def made(results: Path, gates: list[dict] | None = None, shown: list[Shown] | None = None, repository: Path = ROOT) -> str:
    gate_file = results / "gates.json"
    gate_file.write_text(json.dumps(gates or [GATE | {"value": 1.0, "passed": True}]))
    write_report(results, TEMPLATE, shown or SHOWN, [gate_file], repository, results / "report.html")
    return (results / "report.html").read_text()


def test_every_figure_is_inside_and_nothing_is_loaded(results: Path) -> None:
    text = made(results)
    page = Page(text)
    assert not page.open
    pictures = [b64encode(PICTURE + name.encode()).decode() for name in ("performance", "answers")]
    assert page.loaded == [f"data:image/png;base64,{picture}" for picture in pictures]
    assert "script" not in page.tags and "link" not in page.tags
    assert not re.search(r"@import|url\(", text)
    assert not [link for link in page.links if ":" in link], "links lead to this page or to files beside it"


def test_contents_lead_to_every_question_and_item(results: Path) -> None:
    page = Page(made(results))
    assert len(page.ids) == len(set(page.ids))
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert set(inside) <= set(page.ids)
    wanted = ["study", "does-accuracy-collapse", "performance", "answers", "is-it-spurious", "verdict", "made"]
    assert [link for link in inside if link in wanted][: len(wanted)] == wanted


def test_the_answer_stands_before_the_contents_and_values_are_escaped(results: Path) -> None:
    lost = {"early_checkpoint": [150, 150], "before": [1.0, 1.0], "early_spurious_share": [0.97, 0.97], "early_recovered": [0.98, 0.98]}
    ends = {f"early_drop{end}": [0.9 + way, way] for end, way in (("", 0.0), ("_low", -0.01), ("_high", 0.01))}
    verdict = {"arm": ["seq", "replay-20"], "conclusion": ["Nothing < everything & more.", "All is well."], "seeds": [1, 1]}
    save_table(pd.DataFrame(verdict | lost | ends), [results / "tables" / "verdict"])
    text = made(results)
    top = text.partition('id="contents"')[0]
    assert "Task 0 falls from 1.00 to 0.10 in 150 steps of Task 1" in top
    assert re.search(r">seq</th><td class=\"text\">\w+</td>", top) and re.search(r">replay-20</th><td class=\"text\">nothing</td>", top)
    assert "All 1 gates were reached" in top
    assert "Nothing &lt; everything &amp; more." in text and "Nothing < everything" not in text
    assert "The verdict on &lt;every&gt; arm of <code>all</code></h3>" in text and "<every>" not in text


def test_pictures_have_their_caption_as_text_and_tables_their_title_as_name(results: Path) -> None:
    text = made(results)
    assert re.search(r'<img [^>]*alt="[^"]*What it shows[^"]{100,}"', text)
    assert 'aria-label="Table 1: The verdict on &lt;every&gt; arm of `all`"' in text


def test_one_run_is_called_so_on_the_first_screen_and_several_are_not(results: Path) -> None:
    assert "<b>One run.</b>" in made(results).partition('id="does-accuracy-collapse"')[0]
    path = next(results.glob("config*.json"))
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"seeds": [0, 1]}))
    assert "One run." not in made(results)


def test_each_table_is_told_with_its_code_and_config_and_where_they_are_others(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = results / "seed0" / "finetune" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert "Code and config of each table" not in made(results)
    monkeypatch.setattr(tables, "MADE_BY", made_by([str(ROOT / "workflow/scripts/finetune.py"), "--config", str(path)]))
    write_table(pd.DataFrame({"step": [1]}), path.with_name("other.parquet"), pa.schema([("step", pa.int64())]))
    (path.parent / "._other.parquet").write_bytes(b"what a Mac leaves on other file systems")
    digest = hashlib.sha256(hashlib.sha256(b"{}").digest()).hexdigest()
    by = made(results).partition("Code and config of each table")[2]
    row = next(line for line in by.splitlines() if "seed0/finetune/other.parquet" in line)
    assert "finetune.py" in row and str(path) in row and digest[:12] in row
    assert "all are of those that there are now" in made(results)
    path.write_text("{ }")
    text = made(results)
    assert "these are of others than there are now" in text
    assert f"<li>{path} has changed: seed0/finetune/other.parquet" in text


def test_captions_are_rendered(results: Path) -> None:
    assert "<strong>What it shows.</strong>" in made(results)


def test_broken_caption_is_named() -> None:
    with pytest.raises(StudyError, match=r"broken\.py"):
        caption_html("An *unfinished emphasis.\n", "broken.py")


@pytest.mark.parametrize("directive", ["include:: {folder}/other.rst", "raw:: html\n\n   <script>alert(1)</script>"])
def test_caption_holds_text_alone(tmp_path: Path, directive: str) -> None:
    (tmp_path / "other.rst").write_text("Something else.\n")
    with pytest.raises(StudyError, match=r"curious\.py"):
        caption_html(f".. {directive.replace('{folder}', str(tmp_path))}\n", "curious.py")


@pytest.mark.parametrize("rule", CATALOGUE)
def test_every_caption_is_valid(rule: str) -> None:
    assert caption_html(CATALOGUE[rule].caption, CATALOGUE[rule].path)


def test_failed_gate_is_said_first(results: Path) -> None:
    text = made(results, [GATE | {"passed": False}, GATE | {"passed": True}])
    assert "1 of 2 gates were not reached" in text
    assert "seed 0, Task 0 before: 0.500, has to be &gt;= 0.95" in text
    assert "All 1 gates were reached" not in text


def test_a_gate_that_says_nothing_is_neither_missed_nor_reached(results: Path) -> None:
    text = made(results, [GATE | {"passed": False}, GATE | {"gate": "sequential_trough", "passed": True, "applies": False}])
    assert "1 of 2 gates were not reached" in text
    assert "seed 0, sequential trough: not applicable, since Task 0 was not known before Task 1" in text


def test_configuration_versions_and_run_times_are_in(results: Path) -> None:
    text = made(results)
    assert "early_stop_accuracy:" in text
    assert re.search(r"torch&nbsp;|torch\xa0", text) and "snakemake" in text
    assert re.search(r">pretrain</th>.*2 min 00 s.*800 MB", text)


def test_costs_are_summed_by_stage(results: Path) -> None:
    values = {"seconds": 100.0, "trained_tokens": 3e6, "padding_share": 0.25, "trained_operations": 4e15, "energy_joules": 9e5}
    values |= {"model_flop_utilisation": 0.4, "devices": 1.0, "peak_device_memory": 5e9}
    frame = of_run(run_metrics(10, values), Job(scale="smoke", seed=0, stage="pretrain"))
    write_table(frame, results / "seed0" / "pretrain" / "metrics.parquet", METRICS)
    text = made(results)
    for stage in ("pretrain", "all"):
        row = re.search(rf">{stage}</th>(<td class=.number.>1</td>.*)</tr>", text[text.index('id="cost"') :])
        assert row and re.findall(r">([^<]+)</td>", row[1])[1:] == ["0.0335", "0.0556", "3", "30,000", "25.0 %", "40.0 %", "5", "0.25"]


def test_no_benchmark_file_and_no_git(results: Path, tmp_path: Path) -> None:
    (results / "benchmarks" / "seed0" / "pretrain.tsv").unlink()
    repository = tmp_path / "unpacked"
    repository.mkdir()
    (repository / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    text = made(results, repository=repository)
    assert "No benchmark files were found." in text
    assert "code without a git revision" in text


def test_truncated_inputs_are_named(results: Path) -> None:
    (results / "tables" / "verdict.md").write_text("| arm | drop |\n|:--|:--|\n| seq |\n")
    with pytest.raises(StudyError, match=r"verdict\.md"):
        made(results)
    (results / "config.json").write_text("{")
    with pytest.raises(StudyError, match=r"config\.json"):
        made(results)
    assert not list(results.glob("report.html*")), "nothing half-written"


def test_wide_tables_are_turned_on_their_side(tmp_path: Path) -> None:
    frame = pd.DataFrame({"arm": ["seq", "joint"]} | {f"value{i}": [0.25, 1.0] for i in range(12)})
    frame["value3_low"], frame["value3_high"] = [0.1, 0.9], [0.4, 1.0]
    save_table(frame, [tmp_path / "wide"])
    table = table_for_reading(tmp_path / "wide.md")
    assert table.flipped and table.header == ["arm", "seq", "joint"]
    assert [cell.value for cell in table.rows[0]] == ["value0", "0.250", "1.000"]
    interval = table.rows[3][1]
    assert (interval.value, interval.more, interval.kind) == ("0.250", "[0.100,\xa00.400]", "number")
    save_table(frame[["arm", "value3"]], [tmp_path / "narrow"])
    narrow = table_for_reading(tmp_path / "narrow.md")
    assert not narrow.flipped and narrow.header == ["arm", "value3"] and len(narrow.rows) == 2


def test_a_long_table_on_its_side_shows_what_answers_and_unfolds_the_rest(results: Path) -> None:
    """Twelve numbers that answer, then others."""
    verdict = {"arm": ["seq", "joint"], "conclusion": ["Lost.", "Kept."], "seeds": [1, 1]}
    answering, others = ({f"{name}{number}": [0.1] * 2 for number in range(10, end)} for name, end in (("answer", 22), ("other", 38)))
    save_table(pd.DataFrame(verdict | answering | others), [results / "tables" / "verdict"])
    text = made(results)
    assert not Page(text).open
    shown = text.partition('id="verdict"')[2].partition("</article>")[0]
    at_once, rest = (re.findall(r'<th scope="row">(\w+)', part) for part in shown.split("<details>"))
    assert at_once == ["conclusion", "seeds", *answering] and rest == list(others)
    assert "(28 rows)" in shown and shown.count('<th scope="col">seq') == 2
    save_table(pd.DataFrame(verdict | answering), [results / "tables" / "verdict"])
    assert "<details>" not in made(results).partition('id="verdict"')[2].partition("</article>")[0]


@pytest.mark.parametrize(("rows", "columns", "too_large"), [(60, 19, False), (61, 3, True), (30, 20, True)])
def test_a_table_too_large_for_paper_is_named_there(results: Path, rows: int, columns: int, too_large: bool) -> None:
    save_table(pd.DataFrame({f"column {number}": ["a"] * rows for number in range(columns)}), [results / "tables" / "verdict"])
    (results / "tables" / "verdict.csv").write_text("arm,conclusion\n")
    line = f"Too large for paper ({rows} rows, {columns} columns): read it in\n<code>tables/verdict.csv</code>"
    assert (line in made(results)) == too_large


def test_methods_are_told_apart_from_seq_by_intervals_alone(tmp_path: Path) -> None:
    rows = [
        ("seq", "seq", 0.0, 0.0, 0.0),
        ("replay", "replay-20", 0.2, 0.1, 0.3),
        ("freeze", "freeze-1", -0.2, -0.3, -0.1),
        ("ewc", "ewc-1e0", 0.2, -0.1, 0.5),
        ("lamol", "lamol-20", 0.2, None, None),
        ("task-vector", "task-vector-0.5", None, None, None),
        ("no-task0", "seq-no-task0", -0.1, -0.15, -0.05),
        (None, "floor: modal answer", None, None, None),
    ]
    columns = ["family", "arm", "matched_gain", "matched_gain_low", "matched_gain_high"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "method_table.csv", index=False)
    assert against_seq(tmp_path / "method_table.csv") == {
        "more": ["replay-20 (+0.200)"],
        "less": ["freeze-1 (-0.200)"],
        "no clear difference": ["ewc-1e0 (+0.200)", "lamol-20 (+0.200)"],
        "not reached": ["task-vector-0.5"],
        "floors": ["seq-no-task0 (-0.100)"],
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (3599.6, "1 h 00 min"), (float("nan"), "-")]
)
def test_durations_are_for_reading(seconds: float, text: str) -> None:
    assert duration(seconds) == text
