"""The report in a real browser, where there is one: what its first screen shows, and that it fits. A page around it asks."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.analysis.test_diagnosis_rules import FAST, FLAT, KNOWN, SLOW, STEPS, facts, known
from tests.report.test_page import made, results  # noqa: F401 (a fixture)
from tests.study import ROOT

from forgetting.analysis.summary import save_table
from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.report.diagnosis import write_diagnosis
from forgetting.schemas.diagnosis import PROBED, REMEDIES, SCORED
from forgetting.tables import write_table

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
ASK = """<script>addEventListener('load', () => {
  const box = query => { const found = document.querySelector(query); return found && found.getBoundingClientRect().bottom };
  parent.postMessage({headline: box('.headline'), words: box('.words'), gates: box('.box'),
                      number: box('.answer'), picture: box('.first-screen img'),
                      wide: document.documentElement.scrollWidth, type: parseFloat(getComputedStyle(document.body).fontSize)}, '*');
})</script>"""
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


def test_the_first_screen_of_a_phone_has_the_answer_and_nothing_is_wider(page: Path) -> None:
    found = on_screen(page, 390, 844)
    assert found["headline"] <= 844 and found["type"] >= 16
    assert found["wide"] <= 390


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
