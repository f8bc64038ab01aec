"""The report in a real browser, where there is one: what its first screen shows, and that it fits. A page around it asks."""

from __future__ import annotations

import html
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread, imsave
from tests.analysis.test_diagnosis_rules import FAST, FLAT, KNOWN, SLOW, STEPS, UNITS, facts, known
from tests.report.test_page import GATE, made, results  # noqa: F401 (a fixture)
from tests.study import ROOT

from forgetting.analysis.summary import save_table
from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.data.probed import TEST
from forgetting.figures.catalogue import read_catalogue
from forgetting.report import page as page_module
from forgetting.report.answers import _WORDS
from forgetting.report.diagnosis import write_diagnosis
from forgetting.schemas.diagnosis import PROBED, REMEDIES, ROWS, SCORED
from forgetting.schemas.items import ITEMS
from forgetting.tables import write_table

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
ASK = """<script>addEventListener('load', () => {
  const box = query => { const found = document.querySelector(query); return found && found.getBoundingClientRect().bottom };
  const size = query => document.querySelector(query)?.getBoundingClientRect().width;
  parent.postMessage({headline: box('.headline'), words: box('.words'), gates: box('.box'),
                      number: box('.answer'), picture: box('.first-screen img'),
                      small: size('.zoom img'), large: (document.querySelector('.zoom input')?.click(), size('.zoom img')),
                      inside: document.querySelector('.words')?.clientWidth, across: document.querySelector('.words')?.scrollWidth,
                      wide: document.documentElement.scrollWidth, type: parseFloat(getComputedStyle(document.body).fontSize)}, '*');
})</script>"""
HEADLINE = (
    "Task 0 falls from 1.00 to 0.10 in 133 steps of Task 1; one epoch on other persons' questions brings it to 0.99 [0.97, 1.00] (a model "
    "that never had Task 0: 1.00, one that never saw a question: 0.99); from the end of Task 1 to 0.59 [0.44, 0.72] (never had Task 0: "
    "0.65). Mean of 3 seeds."
)
AROUND = """<body style="margin:0"><iframe src="report.html" style="border:0;width:{width}px;height:{height}px"></iframe>
<script>addEventListener('message', event => {{ document.body.dataset.found = JSON.stringify(event.data) }})</script>"""


def browser(*arguments: str) -> str:
    assert CHROMIUM
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=120, check=True).stdout


def on_screen(page: Path, width: int, height: int) -> dict[str, Any]:
    """Where things end on a screen of this size, in CSS pixels."""
    folder = page.parent / f"{width}"
    folder.mkdir()
    (folder / "report.html").write_text(page.read_text().replace("</body>", f"{ASK}</body>"))
    (folder / "around.html").write_text(AROUND.format(width=width, height=height))
    shown = browser(f"--window-size={max(width, 600)},{height}", "--dump-dom", f"file://{folder}/around.html")
    found = re.search(r'data-found="([^"]+)"', shown)
    assert found, shown[:500]
    return json.loads(html.unescape(found[1]))


@pytest.fixture
def page(results: Path) -> Path:  # noqa: F811
    """The page of a study of four arms of which one lost Task 0."""
    arms = ["seq", "replay-20", "freeze-2", "seq-lr-2e-4"]
    rows: dict[str, Any] = {"arm": arms, "conclusion": ["Early loss spurious."] * 4, "seeds": [1] * 4, "early_checkpoint": [150] * 4}
    for name, values in {
        "before": [1.0] * 4,
        "early_drop": [0.9, 0.3, 0.5, 0.8],
        "early_recovered": [0.98] * 4,
        "pretrained": [0.6] * 4,
    }.items():
        rows |= {name: values} | {f"{name}_low": [v - 0.02 for v in values], f"{name}_high": [v + 0.02 for v in values]}
    save_table(pd.DataFrame(rows), [results / "tables" / "verdict"])
    made(results)
    return results / "report.html"


def test_the_first_screen_of_a_laptop_has_the_answer_the_table_of_arms_and_the_gates(page: Path) -> None:
    found = on_screen(page, 1280, 800)
    assert max(found["headline"], found["words"], found["gates"]) <= 800
    assert found["wide"] <= 1280


def test_the_first_screen_of_a_phone_has_them_too_and_nothing_is_wider(page: Path) -> None:
    found = on_screen(page, 390, 844)
    assert found["headline"] < found["words"] < found["gates"] <= 844 and found["type"] >= 16
    assert found["wide"] <= 390


def test_a_phone_shows_all_words_on_the_arms_below_a_gate_that_failed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    said = dict(
        zip(_WORDS, ["mostly spurious", "partly not back", "not ahead early, behind late", "cannot tell", "space-dependent"], strict=True)
    )
    monkeypatch.setattr(page_module, "arm_words", lambda tables: {arm: said for arm in ("seq", "replay-20", "freeze-2")})
    monkeypatch.setattr(page_module, "headline", lambda tables: HEADLINE)
    made(results, [GATE | {"passed": False}])
    found = on_screen(results / "report.html", 390, 844)
    assert found["gates"] < found["words"] <= 844
    assert found["across"] <= found["inside"]


@pytest.fixture
def diagnosis(tmp_path: Path) -> Path:
    """The page of a diagnosis with a base, which has the longest of all first screens with a verdict."""
    starts = {"before": KNOWN, "after": FAST, "base": SLOW, "random": FLAT}
    splits = {"old_train": 50, "old_test": 100, "old_copyable": 0, "new": 0}
    data = known() | {"units": splits, "questions": splits, "leakage": {"prompts": 0.0, "answers": 0.4}, "left_out": {}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    for start, curve in starts.items():
        write_table(facts(**{start: curve})[PROBED.names], tmp_path / f"{start}.parquet", PROBED)
        write_table(pd.DataFrame(columns=SCORED.names), tmp_path / f"{start}-scores.parquet", SCORED)
    write_table(pd.DataFrame(columns=REMEDIES.names), tmp_path / "remedies.parquet", REMEDIES)
    text = {"task": "old", "split": TEST, "kind": "answer", "measured": True, "prompt": "who?", "answer": " she", "unit": range(UNITS)}
    nothing: list[list[int]] = [[] for _ in range(UNITS)]
    write_table(pd.DataFrame(text | {"prompt_ids": nothing, "answer_ids": nothing}), tmp_path / "items.parquet", ITEMS)
    more = {"row": range(1, UNITS + 1), "unit_name": "she", "choices": nothing, "choice_ids": nothing, "wording_ids": nothing}
    write_table(pd.DataFrame(more), tmp_path / "rows.parquet", ROWS)
    given = {"name": "support-bot", "before": "v1", "after": "v2", "base": "v0", "old": "old.jsonl", "probe": {"steps": STEPS[-1]}}
    job = DiagnosisJob.of(Diagnosis.model_validate(given))
    write_diagnosis(job, tmp_path, tmp_path, tmp_path / "remedies.parquet", ROOT / "workflow" / "report", tmp_path)
    assert "taught what both tasks share" in (tmp_path / "diagnosis.html").read_text()
    return tmp_path / "diagnosis.html"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_of_a_diagnosis_has_the_sentence_the_number_and_the_picture(diagnosis: Path, width: int, height: int) -> None:
    found = on_screen(diagnosis, width, height)
    assert found["headline"] < found["number"] < found["picture"] <= height
    assert found["wide"] <= width


@pytest.fixture
def whole(results: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A page with every figure and table of `all`, made up: grey pictures of the usual sizes, and numbers in tables of all shapes."""
    for name in ("answers", "arm_words"):
        monkeypatch.setattr(page_module, name, lambda tables: {})
    monkeypatch.setattr(page_module, "headline", lambda tables: "What these tables say.")
    catalogue = [shown for shown in read_catalogue().values() if shown.target == "all"]
    shapes, heights = itertools.cycle([(9, 10), (30, 26), (22, 19), (122, 7), (40, 6)]), itertools.cycle([300, 540, 350, 480, 744])
    for shown in catalogue:
        if shown.kind == "figure":
            imsave(results / f"figures/{shown.name}.png", np.full((2 * next(heights), 1100), 0.5), cmap="gray", vmin=0, vmax=1)
        else:
            rows, columns = next(shapes)
            numbers = pd.DataFrame({f"a column {column}": np.linspace(0, 1, rows) for column in range(columns - 1)})
            ends = {f"{name}{end}": numbers[name] for name in numbers for end in ("_low", "_high")}
            save_table(pd.DataFrame({"arm": ["seq"] * rows} | dict(numbers) | ends), [results / f"tables/{shown.name}"])
    made(results, shown=catalogue)
    return results / "report.html"


@pytest.mark.parametrize("width", [390, 800])
def test_a_click_opens_a_picture_at_its_full_size_within_the_page(whole: Path, width: int) -> None:
    found = on_screen(whole, width, 800)
    assert found["small"] < width and found["large"] == 1100 and found["wide"] <= width


@pytest.mark.long
@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="Poppler is not installed")
def test_on_paper_sheets_are_full_no_heading_ends_one_and_nothing_is_shrunk(whole: Path) -> None:
    paper = whole.with_suffix(".pdf")
    browser("--no-pdf-header-footer", f"--print-to-pdf={paper}", f"file://{whole}")
    subprocess.run(["pdftoppm", "-r", "20", "-png", paper, paper.with_name("sheet")], check=True)
    sheets = [imread(path)[..., :3].min(axis=-1) < 0.8 for path in sorted(paper.parent.glob("sheet-*.png"))]
    ends = [np.flatnonzero(sheet.any(axis=1)).max() / len(sheet) for sheet in sheets]
    assert min(ends[:-1]) > 0.45, [round(end, 2) for end in ends]
    assert len(sheets) < 30
    assert {sheet.shape for sheet in sheets} == {(234, 166)}, "A4, upright"
    words = subprocess.run(["pdftotext", "-bbox", paper, "-"], text=True, capture_output=True, check=True).stdout
    sizes = [
        [
            (float(high) - float(low), text)
            for low, high, text in re.findall(r'yMin="([\d.]+)" xMax="[\d.]+" yMax="([\d.]+)">([^<]+)', sheet)
        ]
        for sheet in words.split("</page>")[:-1]
    ]
    title, _ = sizes[0][0]
    assert min(size for of_sheet in sizes for size, _ in of_sheet) > 6.5, "points, with what a line has above and below its letters"
    assert title > 18, "the browser shrinks a page with something wider than the sheet"
    assert not [of_sheet[-1] for of_sheet in sizes if of_sheet[-1][0] > 0.55 * title], "a heading ends a sheet"
