from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config
from tests.study import ROOT, clone_to, merged

from forgetting.config.study import load_study
from forgetting.errors import StudyError
from forgetting.report.export import as_overlay, export, rounded, shown_figures, to_be_made_again


def config(**changed: object) -> dict[str, object]:
    return json.loads(load_study(merged("smoke.yaml") | changed).model_dump_json())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository of one commit, with a study of two tables and two figures, of which the README shows one."""
    root = tmp_path / "repository"
    for name in ("workflow", "docs/templates", "results/smoke/tables", "results/smoke/figures"):
        (root / name).mkdir(parents=True)
    (root / "workflow/code.py").write_text("first = 1\n")
    (root / ".gitignore").write_text("/results/\n")
    (root / "README.md").write_text("![a](docs/images/performance.png)\n")
    (root / "results/smoke/config.json").write_text(json.dumps(config()))
    table = pd.DataFrame({"arm": ["seq", "joint"], "trough": [0.0941234, 1234.5678], "steps": [2000, 2000], "seeds": [3, 2]})
    for name in ("methods", "grid_table"):
        table.to_csv(root / f"results/smoke/tables/{name}.csv", index=False)
    for name in ("performance", "landscape"):
        (root / f"results/smoke/figures/{name}.png").write_bytes(name.encode())
    commit(root)
    return root


def commit(root: Path) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "--allow-empty", "-m", "one")):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    return subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def up_to_date(*_: object) -> list[str]:
    return []


def taken(root: Path, *only: str) -> list[str]:
    return [path.name for path in export(root, root / "results/smoke", only, up_to_date)]


def test_tables_are_rounded_and_named_with_what_made_them(repository: Path) -> None:
    revision = commit(repository)
    assert taken(repository) == ["grid_table.csv", "methods.csv", "performance.png", "provenance.csv"]
    methods = pd.read_csv(repository / "docs/results/methods.csv")
    assert methods.columns.tolist() == ["arm", "trough", "steps", "seeds"]
    assert methods["trough"].tolist() == [0.09412, 1235] and methods["steps"].tolist() == [2000, 2000]
    assert (repository / "docs/images/performance.png").read_bytes() == b"performance"
    assert not (repository / "docs/images/landscape.png").exists(), "no document shows it"
    record = pd.read_csv(repository / "docs/results/provenance.csv").set_index("file")
    assert set(record.index) == {"grid_table.csv", "methods.csv", "performance.png"}
    assert set(record["revision"]) == {revision}
    assert set(record["scale"]) == {"smoke"} and record["seeds"].astype(str).eq("0").all()


def test_code_that_is_not_committed_is_refused(repository: Path) -> None:
    (repository / "docs/templates/new.jinja").write_text("words are no code")
    taken(repository)
    (repository / "workflow/code.py").write_text("first = 2\n")
    with pytest.raises(StudyError, match=r"workflow/code\.py"):
        taken(repository)


def test_tables_that_would_be_made_again_are_refused_and_nothing_is_written(repository: Path) -> None:
    with pytest.raises(StudyError, match=r"made by other code or another config .*task1"):
        export(repository, repository / "results/smoke", (), lambda *_: ["task1", "table_methods"])
    assert not (repository / "docs/results").exists() and not (repository / "docs/images").exists()


def test_tables_of_another_commit_or_recipe_do_not_stay_beside_new_ones(repository: Path) -> None:
    taken(repository)
    (repository / "workflow/code.py").write_text("first = 3\n")
    commit(repository)
    with pytest.raises(StudyError, match=r"grid_table\.csv, performance\.png .* of another revision"):
        taken(repository, "methods")
    taken(repository)
    other = config(task0=merged("smoke.yaml")["task0"] | {"epochs": 3})
    (repository / "results/smoke/config.json").write_text(json.dumps(other))
    with pytest.raises(StudyError, match="of another recipe"):
        taken(repository, "methods")
    (repository / "results/smoke/config.json").write_text(json.dumps(config(seeds=[0, 1])))
    assert taken(repository, "methods") == ["methods.csv", "provenance.csv"], "more seeds are the same recipe"
    record = pd.read_csv(repository / "docs/results/provenance.csv").set_index("file")
    assert record["seeds"].astype(str).to_dict() == {"grid_table.csv": "0", "methods.csv": "0 1", "performance.png": "0"}


def test_tables_of_another_scale_stay_beside_new_ones(repository: Path) -> None:
    taken(repository)
    other = config(scale="factors", task0=merged("smoke.yaml")["task0"] | {"epochs": 3})
    (repository / "results/smoke/config.json").write_text(json.dumps(other))
    (repository / "workflow/code.py").write_text("first = 4\n")
    commit(repository)
    taken(repository, "methods")
    record = pd.read_csv(repository / "docs/results/provenance.csv").set_index("file")
    assert record["scale"].to_dict() == {"grid_table.csv": "smoke", "methods.csv": "factors", "performance.png": "smoke"}


def test_a_name_that_the_study_does_not_have_is_named(repository: Path) -> None:
    with pytest.raises(StudyError, match="verdict"):
        taken(repository, "methods", "verdict")
    (repository / "results/smoke/config.json").unlink()
    with pytest.raises(StudyError, match=r"config\.json"):
        taken(repository)


def test_a_study_laid_over_the_config_is_that_study() -> None:
    """A family that is left out is no key of the whole config, so it must be taken away again."""
    study = load_study(merged("replicates.yaml"))
    base: dict = {}
    for name in ("config.yaml", "methods.yaml"):
        base |= yaml.safe_load((ROOT / "config" / name).read_text())
    overlay = as_overlay(json.loads(study.model_dump_json()), base)
    again = merged()
    update_config(again, overlay)
    assert load_study(again) == study and load_study(merged()) != study


def test_snakemake_says_what_would_be_made_again(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    tables = clone / "results/smoke/tables"
    tables.mkdir(parents=True)
    (tables.parent / "config.json").write_text(json.dumps(config()))
    assert {"make_data", "finetune", "table_methods"} <= set(to_be_made_again(clone, tables.parent, [tables / "methods.csv"]))


def test_significant_digits() -> None:
    found = rounded(
        pd.DataFrame({"x": [0.000123456, -12.34567, 98765.0, float("inf"), float("nan")], "n": [123456] * 5, "w": list("abcde")})
    )
    assert found["x"].tolist()[:4] == [0.0001235, -12.35, 98765, float("inf")] and found["n"].tolist() == [123456] * 5


def test_the_documents_show_these_figures() -> None:
    of_all = {"performance", "recovery", "learning_rate", "graft", "edits"}
    assert shown_figures(ROOT) == of_all | {"method_comparison", "factors", "axes", "architectures", "sequence_task0"}
