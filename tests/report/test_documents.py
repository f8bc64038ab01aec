"""Documents are rendered from tables: on a made-up study, on none, and as they are committed."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.figures import synthetic
from tests.study import ROOT
from tests.workflow.scripts import run_script

from forgetting.analysis.claims import claims_table
from forgetting.analysis.comparison import grid_table, method_table
from forgetting.analysis.grafts import graft_table
from forgetting.analysis.summary import gates_table, learning_rate_table, methods_table, read_paper, recovery_table, save_table
from forgetting.analysis.verdict import theory_table
from forgetting.errors import StudyError
from forgetting.figures.present import read_input
from forgetting.report.documents import (
    BEGIN,
    BLOCKS,
    CLAIMS,
    END,
    TEMPLATES,
    Results,
    differences,
    number_text,
    render,
    text_of,
    typed_numbers,
)
from forgetting.report.readings import Found, read_claims

ALLOWED = frozenset({"95 %", "2501.13453"})
"""What templates may type: the level of all intervals, and where the paper is."""
NAN = float("nan")
Tree = tuple[Path, dict[str, pd.DataFrame]]


def copy(folder: Path) -> Path:
    """What rendering reads of the repository, without results."""
    claims = [f"docs/{name}.yaml" for name in CLAIMS]
    for name in (*map(str, BLOCKS.values()), *claims, "resources/paper_results.yaml", "docs/templates", "docs/images"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copyfile(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A repository with the exported tables of a made-up study of two seeds, and these tables: few arms and bootstrap samples will do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forgetting.analysis.spurious.DRAWS", 50)
        patch.setattr(synthetic, "ARMS", ("seq", "replay-20", "freeze-2"))
        patch.setattr(synthetic, "EPOCHS", (0, 0.25, 1.0))
        return made_up(tmp_path_factory)


def made_up(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    tree = tmp_path_factory.mktemp("results")
    families = {"seq": ["seq"], "freeze": ["freeze-0", "freeze-1", "freeze-2", "freeze-3"], "joint": ["joint"], "replay": ["replay-20"]}
    synthetic.write_tree(tree, (0, 1), np.array([0, 60, 150, 2000, 4000]), (0, 60, 150, 2000, 4000), families)
    names = (
        "metrics",
        "recovery",
        "recovery_facts",
        "floors",
        "gates",
        "features",
        "weights",
        "gradients",
        "graft",
        "theory",
        "choice",
        "landscape",
    )
    given = {name: read_input(name, synthetic.files_of(tree, name)) for name in names}
    answers = [given[name] for name in ("metrics", "recovery", "recovery_facts")]
    paper = read_paper([ROOT / "resources/paper_results.yaml"])
    rates = [frame[frame["arm"].isin([*synthetic.RATES, "controls"])] for frame in answers]
    tables = {
        "methods": methods_table(given["metrics"], given["floors"], 0.9),
        "recovery_table": recovery_table(*answers),
        "learning_rate_table": learning_rate_table(*rates),
        "gates": gates_table(given["gates"]),
        "claims": claims_table(given["features"], given["weights"], given["gradients"], given["landscape"]),
        "theory_table": theory_table(given["theory"]),
        "graft_table": graft_table(given["graft"]),
        "grid_table": grid_table(given["metrics"], given["choice"], 0.9),
        "method_table": method_table(*answers, given["floors"], given["choice"], paper, 0.9),
    }
    repository = copy(tmp_path_factory.mktemp("repository"))
    (repository / "docs/results").mkdir()
    for name, table in tables.items():
        save_table(table, [repository / f"docs/results/{name}.csv"])
    made = {"scale": "synthetic", "seeds": "0 1", "revision": "f" * 40, "config": "c0ffee", "recipe": "c0ffee", "made": "2026-11-26"}
    pd.DataFrame([{"file": f"{name}.csv"} | made for name in tables]).to_csv(repository / "docs/results/provenance.csv", index=False)
    return repository, tables


def test_the_documents_are_what_their_tables_give() -> None:
    """Of the repository itself: no number in them was typed, rounded or clipped by hand. Render them again with render_documents.py."""
    assert differences(ROOT) == []


def test_templates_have_no_typed_results() -> None:
    for path in sorted((ROOT / TEMPLATES).glob("*.jinja")):
        assert typed_numbers(path.read_text(encoding="utf-8"), ALLOWED) == [], path.name


def test_a_typed_result_is_found_and_an_expression_is_not() -> None:
    text = "Falls to 0.094 (97 % of 300, 1,234.5 steps), {{ cell('methods', 0.5) }} {% if 0.3 %}`0.7`{% endif %} {# 0.9 #} 15 steps"
    assert typed_numbers(text) == ["0.094", "97 %", "1,234.5"]
    assert typed_numbers(text, frozenset({"0.094"})) == ["97 %", "1,234.5"]


def test_without_exported_tables_nothing_is_rendered(tmp_path: Path) -> None:
    assert render(copy(tmp_path)) == {}


def test_numbers_of_the_pages_are_those_of_the_tables(study: Tree) -> None:
    repository, tables = study
    pages = render(repository)
    row = tables["methods"].query("arm == 'seq' and early_stop == 'no'").iloc[0]
    end = tables["recovery_table"].query("arm == 'seq' and point == 'end'").iloc[0]
    for page in (pages[Path("docs/findings.md")], pages[Path("README.md")]):
        assert f"{row['trough']:.3f} [{row['trough_low']:.3f}, {row['trough_high']:.3f}]" in page
        assert f"{end['recovered']:.3f} [{end['recovered_low']:.3f}, {end['recovered_high']:.3f}]" in page
        assert "Undefined" not in page and "{{" not in page and "nan" not in page.lower().replace("finance", "")
    assert (
        "the second block set into it" in pages[Path("docs/findings.md")] and "the second block set into it" not in pages[Path("README.md")]
    )
    claims = pages[Path("docs/findings.md")].partition("## The paper's claims")[2].partition("Where each claim is made")[0]
    assert claims.count("\n|") == 2 + len(read_claims(ROOT / "docs/claims.yaml"))


def test_what_was_not_run_is_said_where_it_would_stand(study: Tree, tmp_path: Path) -> None:
    repository, _ = study
    page = render(repository)[Path("docs/findings.md")]
    assert "Task 1 without Task 0 *not run yet*" in page
    only = copy(tmp_path)
    (only / "docs/results").mkdir()
    for name in ("provenance", "methods"):
        shutil.copyfile(repository / f"docs/results/{name}.csv", only / f"docs/results/{name}.csv")
    with (only / "docs/claims.yaml").open("a") as claims:
        claims.write("\n- { claim: Nobody can see it., source: section 1, known_through: the paper, note: there is nothing to see }\n")
    page = render(only)[Path("docs/findings.md")]
    assert "| Nobody can see it. | - | not measured | - | - | **not measured** |" in page
    assert "**not run yet**" in page and "| *not run yet* | | | |" in page and "; many tasks (`sequence`);" in page


def test_only_the_block_of_the_readme_changes_and_rendering_twice_is_rendering_once(study: Tree) -> None:
    repository, _ = study
    before = (repository / "README.md").read_text()
    after = render(repository)[Path("README.md")]
    assert after.partition(BEGIN)[0] == before.partition(BEGIN)[0] and after.partition(END)[2] == before.partition(END)[2]
    (repository / "README.md").write_text(after)
    assert render(repository)[Path("README.md")] == after
    (repository / "README.md").write_text(before)


def test_a_changed_number_is_found(study: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "copy"
    shutil.copytree(study[0], repository)
    run_script("render_documents", monkeypatch, repository=repository)
    assert differences(repository) == []
    page = repository / "docs/findings.md"
    methods = study[1]["methods"]
    number = f"{methods.loc[methods['arm'] == 'seq', 'trough'].iloc[0]:.3f}"
    page.write_text(page.read_text().replace(number, "0.999", 1))
    assert differences(repository) == [Path("docs/findings.md")]
    monkeypatch.setattr("sys.argv", ["render_documents", "--check", "--repository", str(repository)])
    with pytest.raises(SystemExit, match=r"docs/findings\.md"):
        runpy.run_path(str(ROOT / "workflow/scripts/render_documents.py"), run_name="__main__")


def test_a_readme_without_its_marks_is_named(study: Tree, tmp_path: Path) -> None:
    shutil.copytree(study[0], tmp_path / "copy")
    (tmp_path / "copy/README.md").write_text("# no block\n")
    with pytest.raises(StudyError, match=r"README\.md: the lines .*results: begin"):
        render(tmp_path / "copy")


def test_numbers_for_reading() -> None:
    assert number_text(-0.0004) == "0.000" and number_text(1795, 0) == "1,795" and number_text(-12.345, 1) == "-12.3"
    assert text_of(Found(0.5, 0.4, 0.6, 3, 3), "final", 2) == "0.50 [0.40, 0.60]"
    assert text_of(Found(0.5, 0.4, 0.6, 2, 3), "matched", 2) == "0.50 [0.40, 0.60] (2 of 3 seeds)"
    assert text_of(Found(1795.4, NAN, NAN, 3, 3), "matched_step") == "1,795"
    assert text_of(Found(NAN, NAN, NAN, 0, 3), "matched") == "not reached"
    assert text_of(None, "matched") == "*not run yet*"
    results = Results({}, [], {}, {"performance"})
    assert results.image("performance", "accuracy", "images") == "![accuracy](images/performance.png)"
    assert results.image("landscape", "losses", "images") == "*losses: not run yet*"
