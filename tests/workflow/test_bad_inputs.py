"""Bad inputs end in one message that names the key or the file and says what to do; nothing half-written is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from snakemake.utils import update_config
from tests import sections
from tests.study import clone_to, merged, snakemake
from tests.workflow.scripts import RESOURCES, failing_figure, failing_script, smoke_config

from forgetting.config.fields import ConfigError
from forgetting.config.jobs.views.landscape import LandscapeJob
from forgetting.config.jobs.views.weights import WeightsJob
from forgetting.config.study import load_study
from forgetting.config.yamlfile import check_config_file
from forgetting.errors import StudyError
from forgetting.model.checkpoints import build_model, load_checkpoint, save_checkpoint

BAD_CONFIGS = {
    "seeds is text": ('{seeds: "0,1"}', "seeds: Input should be a valid list"),
    "seeds is one number": ("{seeds: 3}", "seeds: Input should be a valid list"),
    "no seed": ("{seeds: []}", "seeds: List should have at least 1 item"),
    "a seed beyond the tables": (f"{{seeds: [{2**31}]}}", "seeds.0: Input should be less than"),
    "scale with a space": ("{scale: my study}", "scale: String should match pattern"),
    "scale with a slash": ("{scale: a/b}", "scale: String should match pattern"),
    "arms is one name": ("{arms: seq}", "arms: Input should be a valid list"),
    "the same arm twice": ("{arms: [seq, seq]}", "arms has a value twice"),
    "a rate arm that is not defined": ("{learning_rate_arms: [quick]}", "learning_rate_arms names 'quick'"),
    "an arm without method": ("{methods: {mine: {share: 0.1}}}", "methods.mine: needs the key 'method'"),
    "an arm that is a number": ("{methods: {seq: 3}}", "methods.seq: Input should be a valid dictionary"),
    "an arm with a space": ("{methods: {a b: {method: seq}}, arms: [seq, a b]}", "arm 'a b' cannot be the name of a folder"),
    "an arm with a slash": ("{methods: {../a: {method: seq}}, arms: [seq, ../a]}", "arm '../a' cannot be the name of a folder"),
    "an arm called controls": ("{methods: {controls: {method: seq}}, arms: [seq, controls]}", "arm 'controls' cannot"),
    "positions of half a pair": ("{model: {rotary_fraction: 0.32}}", "model.rotary_fraction 0.32"),
    "heads too small for positions": ("{model: {heads: 192}}", "model.hidden_size / model.heads"),
    "sequences longer than positions": ("{pretrain: {sequence_length: 1024}}", "pretrain.sequence_length 1024"),
    "more components than dimensions": ("{views: {components: 1000}}", "views.components 1000"),
    "an average that never moves": ("{pretrain: {optimizer: {beta2: 1}}}", "pretrain.optimizer.beta2"),
    "warm-up longer than training": ("{pretrain: {schedule: {warmup_steps: 5000}}}", "pretrain.schedule.warmup_steps 5000"),
    "steps before the first checkpoint": (
        "{task1: {steps: 10, checkpoints: [[50, 50]], later_checkpoints: 1}, comparison: {families: {seq-warmup: null}}}",
        "raise task1.steps",
    ),
    "an arm's warm-up longer than its training": ("{task1: {steps: 100}}", "methods.seq-warmup-150.warmup_steps 150"),
    "strides that go back": ("{task1: {checkpoints: [[200, 5], [50, 10]]}}", "task1.checkpoints must be [until_step, every]"),
    "strides that are numbers": ("{task1: {evaluate: [5, 10]}}", "task1.evaluate.0: Input should be a valid tuple"),
    "epochs closer than a batch": ("{recovery: {epochs: [0.001, 1.0]}}", "recovery.epochs [0.001, 1.0]"),
    "no whole epoch": ("{recovery: {epochs: [0.5]}}", "recovery.epochs must contain 1.0"),
    "a tokenizer folder that is not there": ("{tokenizer: {kind: path, path: ./nowhere}}", "tokenizer.path './nowhere'"),
    "a given tokenizer that is not there": ("{tokenizer: {kind: given, path: ./nowhere}}", "tokenizer.path './nowhere'"),
    "a threshold in per cent": ("{gate_thresholds: {task0_before: 95}}", "gate_thresholds.task0_before"),
    "a section that is empty": ("{pretrain: null}", "pretrain: Input should be a valid dictionary"),
}


@pytest.mark.parametrize(("given", "message"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_bad_config(given: str, message: str) -> None:
    whole = merged()
    update_config(whole, yaml.safe_load(given))
    with pytest.raises(ConfigError) as error:
        load_study(whole)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 3, "one message"


BAD_YAML = {
    "syntax": (b"seeds: [0\nscale: mine\n", "line 2"),
    "a list": (b"- seeds\n- scale\n", "must have keys at its top"),
    "empty": (b"", "must have keys at its top"),
    "latin-1": (b"scale: caf\xe9\n", "not in UTF-8"),
    "a tab": (b"task1:\n\tsteps: 5\n", "line 2"),
    "a section twice": (b"task1: {steps: 5}\ntask1: {batch_size: 8}\n", "line 2: the key 'task1' is there twice"),
}


@pytest.mark.parametrize(("content", "message"), BAD_YAML.values(), ids=BAD_YAML)
def test_bad_config_file(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        check_config_file(path)
    assert str(path) in str(error.value) and message in str(error.value)


def refused(*arguments: str, cwd: Path) -> str:
    """What Snakemake says when it refuses to start."""
    done = snakemake(*arguments, cwd=cwd, timeout=120)
    assert done.returncode != 0
    assert not (cwd / "results").exists(), "nothing was started"
    return done.stdout


def test_triggers_that_overlook_a_changed_config_are_refused(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    said = refused("-n", "all", "--rerun-triggers", "mtime", cwd=clone)
    assert "--rerun-triggers leaves out input, params" in said
    (clone / "mine").mkdir()
    (clone / "mine" / "config.yaml").write_text("rerun-triggers: [mtime, input]\n")
    for target in ("fig_landscape", "data", "architectures"):
        assert "leaves out params" in refused("-n", target, "--profile", "mine", cwd=clone), target


@pytest.mark.long
def test_what_a_cluster_cannot_run_is_refused_before_anything_is_submitted(tmp_path: Path) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm")
    on_cluster = ("--executor", "slurm", "--jobs", "1", "--slurm-init-seconds-before-status-checks", "1")  # it would wait for 40 at its end
    pretrained = "results/paper/seed0/pretrain/metrics.parquet"
    command = (*on_cluster, pretrained, "--configfile", "config/paper.yaml")
    said = refused(*command, cwd=clone_to(tmp_path / "my study"))
    assert "my study: a path with ' ' in it does not reach the jobs of a cluster" in said
    said = refused(*command, "--config", "gpus_for_pretraining=8", cwd=clone_to(tmp_path / "clone"))
    assert "a job asks for 8 GPUs" in said and "no partition in slurm/partitions.yaml allows more than 2" in said


def test_snakemake_stops_before_any_job(tmp_path: Path) -> None:
    """The same through the command that a user types. Of an overlay, Snakemake itself says that it is missing or no YAML."""
    clone = clone_to(tmp_path / "clone")
    assert "nowhere.yaml" in refused("-n", "all", "--configfile", "nowhere.yaml", cwd=clone)
    assert "No rule to produce fig_landscap" in refused("-c1", "fig_landscap", cwd=clone)
    (clone / "twice.yaml").write_text("task1: {steps: 500}\ntask1: {batch_size: 8}\n")
    said = refused("-c1", "all", "--configfile", "twice.yaml", cwd=clone)
    assert "twice.yaml, line 2: the key 'task1' is there twice" in said and "Traceback" not in said
    own = clone / "config" / "config.yaml"
    own.write_text(own.read_text().replace("seeds: [0]", "seeds: [0", 1))
    said = refused("-c1", "all", cwd=clone)
    assert "config/config.yaml, line" in said and "Traceback" not in said


def replace_line(number: int, text: str) -> Callable[[Path], None]:
    """An edit of a text file: another line in place of the `number`-th."""

    def edit(path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        lines[number - 1] = text or lines[number - 2]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return edit


BAD_RESOURCES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "missing pool": ("pools/majors.txt", Path.unlink, "no such file"),
    "empty pool": ("pools/majors.txt", lambda path: path.write_bytes(b""), "0 lines, but the config asks for 50"),
    "empty line in a pool": ("pools/cities.txt", replace_line(7, " "), "line 7: is empty"),
    "the same entry twice": ("pools/universities.txt", replace_line(9, ""), "is line 8 too"),
    "pool in another encoding": ("pools/last_names.txt", lambda path: path.write_bytes(b"M\xfcller\n" * 1000), "not in UTF-8"),
    "company without city": ("pools/companies.csv", replace_line(5, "Acme"), "line 5: has 1 columns"),
    "template without value": ("templates/major.txt", replace_line(3, "{name} studied."), "line 3: needs one {name}"),
    "template without name": ("templates/major.txt", replace_line(4, "They studied {value}."), "line 4: needs one {name}"),
    "a template twice": ("templates/major.txt", replace_line(2, ""), "needs 50 different lines, has 49"),
    "template in another encoding": ("templates/major.txt", lambda path: path.write_bytes(b"\xff\xfe"), "not in UTF-8"),
    "question missing": ("questions.yaml", replace_line(4, "# none"), "needs exactly the keys"),
    "question without name": ("questions.yaml", replace_line(1, 'birthday: "Born when?"'), "birthday: needs one {name}"),
    "questions not YAML": ("questions.yaml", replace_line(1, "birthday: [When"), "not YAML"),
}


@pytest.mark.parametrize(("file", "spoil", "message"), BAD_RESOURCES.values(), ids=BAD_RESOURCES)
def test_bad_resource(file: str, spoil: Callable[[Path], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = Path(shutil.copytree(RESOURCES, tmp_path / "resources"))
    spoil(resources / file)
    said = failing_script("data", monkeypatch, config=smoke_config(tmp_path), resources=resources, output=tmp_path / "data")
    assert file in said and message in said
    assert not list((tmp_path / "data").rglob("*")), "nothing is written"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_schema(path: Path) -> None:
    pq.write_table(pa.table({"step": [1, 2]}), path)


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_width(path: Path) -> None:
    """Weights of a wider model in place of those that belong to the config.json beside them."""
    wider = path.parent / "wider"
    save_checkpoint(build_model(sections.model(hidden_size=64), load_checkpoint(path.parent).config.vocab_size, seed=0), wider)
    shutil.move(wider / path.name, path)
    shutil.rmtree(wider)


def fewer_layers(path: Path) -> None:
    """Weights that lack a layer, which transformers would make up at random."""
    other = path.parent / "other"
    save_checkpoint(
        build_model(sections.model(layers=1, hidden_size=32, heads=2), load_checkpoint(path.parent).config.vocab_size, seed=0), other
    )
    shutil.move(other / path.name, path)
    shutil.rmtree(other)


def fewer_tokens(path: Path) -> None:
    """The model of other data, whole and right by itself."""
    save_checkpoint(build_model(sections.model(), 50, seed=0), path.parent)


def no_architecture(path: Path) -> None:
    path.write_text('{"model_type": "none"}')


BAD_FILES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "truncated table": ("data/items.parquet", cut, "not a readable Parquet file"),
    "table of no bytes": ("data/items.parquet", empty, "not a readable Parquet file"),
    "table of another schema": ("data/items.parquet", other_schema, "missing columns"),
    "missing table": ("data/items.parquet", Path.unlink, "no such file"),
    "broken tokenizer": ("data/tokenizer/tokenizer.json", cut, "cannot be read as a tokenizer"),
    "truncated weights": ("model/model.safetensors", cut, "cannot be read"),
    "weights that are none": ("model/model.safetensors", garbage, "cannot be read"),
    "missing weights": ("model/model.safetensors", Path.unlink, "cannot be read"),
    "weights of another width": ("model/model.safetensors", other_width, "not of the architecture"),
    "weights without a layer": ("model/model.safetensors", fewer_layers, "not of the architecture"),
    "weights of other data": ("model/model.safetensors", fewer_tokens, "the model knows 50"),
    "missing architecture": ("model/config.json", Path.unlink, "cannot be read as the architecture"),
    "corrupt architecture": ("model/config.json", cut, "cannot be read as the architecture"),
    "unknown architecture": ("model/config.json", no_architecture, "cannot be read as the architecture"),
    "corrupt config of the run": ("config.json", cut, "not valid JSON"),
    "binary config of the run": ("config.json", garbage, "not valid JSON"),
    "config of another stage": (
        "config.json",
        lambda path: smoke_config(path.parent, "drift"),
        "config.json: stage is 'drift', but this job is of 'task1'",
    ),
    "missing config of the run": ("config.json", Path.unlink, "no such file"),
}


@pytest.fixture
def job(tiny_data: Path, tiny_model: Any, tmp_path: Path) -> Path:
    """A folder with all that a Task 1 job reads: config.json, data/ and model/."""
    shutil.copytree(tiny_data, tmp_path / "job" / "data")
    save_checkpoint(tiny_model, tmp_path / "job" / "model")
    smoke_config(tmp_path / "job", "task1/seq")
    return tmp_path / "job"


@pytest.mark.parametrize(("file", "spoil", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(file: str, spoil: Callable[[Path], Any], message: str, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(job / file)
    paths = {"config": job / "config.json", "data": job / "data", "starts": job / "model"}
    said = failing_script("finetune", monkeypatch, **paths, scratch=job / "scratch", output=job / "output")
    assert message in said
    assert file in said or "section" in message or "model" in message
    assert not (job / "output").exists(), "nothing is written"


def test_truncated_biographies(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    cut(data / "biographies.arrow")
    paths = {"config": smoke_config(tmp_path, "pretrain"), "data": data, "resources": RESOURCES}
    said = failing_script("pretrain", monkeypatch, **paths, scratch=tmp_path / "scratch", output=tmp_path / "output")
    assert "biographies.arrow: not a readable Arrow file" in said
    assert not (tmp_path / "output").exists()


BAD_FIGURE_INPUTS = {
    "truncated": (b"PAR1\x15\x04", "not a readable Parquet file"),
    "empty": (b"", "not a readable Parquet file"),
    "text": (b"step,loss\n1,2\n" * 50, "not a readable Parquet file"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FIGURE_INPUTS.values(), ids=BAD_FIGURE_INPUTS)
def test_bad_input_of_a_figure(content: bytes, message: str, tmp_path: Path) -> None:
    table = tmp_path / "landscape.parquet"
    table.write_bytes(content)
    said = failing_figure("fig_landscape", landscape=table, output=tmp_path / "figure")
    assert str(table) in said and message in said
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize("content", ["", "3", "[1, 2]", '{"gate": 1}', '[{"gate": "x"}]'])
def test_bad_gates(content: str, tmp_path: Path) -> None:
    gates = tmp_path / "gates.json"
    gates.write_text(content)
    said = failing_figure("table_gates", gates=gates, output=tmp_path / "table")
    assert f"{gates}: not a list of gates" in said
    assert list(tmp_path.iterdir()) == [gates]


def test_keys_are_named_that_a_job_lacks(tmp_path: Path) -> None:
    """The config of another view has the same stage, but other keys."""
    path = tmp_path / "landscape.json"
    path.write_text(LandscapeJob(scale="tiny", seed=0, arm="seq", landscape=sections.landscape(), units_per_split=None).text())
    with pytest.raises(StudyError) as error:
        WeightsJob.load(path)
    assert str(path) in str(error.value)
    assert "energy: Field required" in str(error.value) and "landscape: Extra inputs are not permitted" in str(error.value)


@pytest.mark.parametrize("content", ["[]", "3", "null", "{}"])
def test_json_that_is_no_config(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json: delete it and run again"):
        WeightsJob.load(tmp_path / "config.json")
