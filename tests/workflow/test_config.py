"""Bad configs stop before any job, with one message that names the key; the documentation names every key."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from snakemake.utils import update_config
from tests import sections
from tests.study import ROOT, merged, snakemake
from tests.workflow.scripts import run_positional

from forgetting.config.arms import KNOBS, knob_rows, knob_table
from forgetting.config.biography import PRETRAINED_GROUPS
from forgetting.config.fields import ConfigError
from forgetting.config.knobs import parse_arm
from forgetting.config.plan import finetune_job, jobs
from forgetting.config.steps import checkpoint_steps
from forgetting.config.study import StudyConfig, load_study
from forgetting.data.points import EARLY_STEP
from forgetting.training.batches import epoch_steps

BAD = {
    "unknown key": ("learning_rat=1", "learning_rat"),
    "unknown nested key": ('task1={"step":5}', "task1.step"),
    "wrong type": ('pretrain={"steps":"many"}', "pretrain.steps"),
    "section is a number": ("task1=3", "task1"),
    "negative": ('task0={"batch_size":-1}', "task0.batch_size"),
    "more persons than names": ('data={"pools":{"first_names":1,"middle_names":2,"last_names":300}}', "pools.first_names"),
    "freeze deeper than the model": ("model={layers: 1}", "freezes"),
    "heads do not divide": ("model={heads: 1001}", "model.heads"),
    "no persons for recovery": ('data={"groups":{"task0_train":0}}', "data.groups.task0_train"),
    "unknown arm": ("arms=[seq,rehearse]", "rehearse"),
    "no seq": ("arms=[replay-20]", "seq"),
    "recovery of an arm that does not run": ('recovery={"arms":["seq","freeze-9"]}', "recovery.arms"),
    "view of an arm that does not run": ('views={"arms":["freeze-9"]}', "views.arms"),
    "view of an arm that is not trained": ('views={"arms":["task-vector-0.2"]}', "task-vector-0.2"),
    "unknown method": ('methods={"seq":{"method":"sequential"}}', "methods.seq"),
    "knob of another method": ('methods={"seq":{"share":0.1}}', "methods.seq.seq.share"),
    "missing knob": ('methods={"half":{"method":"replay","share":0.5}}', "methods.half.replay.mix"),
    "unknown rule": ('methods={"projection-exact":{"rule":"svd"}}', "methods.projection-exact.gradient_projection.rule"),
    "negative share": ('methods={"replay-5":{"share":-0.05}}', "methods.replay-5.replay.share"),
    "share above one": ('methods={"replay-5":{"share":5}}', "methods.replay-5.replay.share"),
    "negative depth": ('methods={"freeze-1":{"layers":-1}}', "methods.freeze-1.freeze.layers"),
    "negative penalty": ('methods={"ewc-1e0":{"penalty":-1}}', "methods.ewc-1e0.ewc.penalty"),
    "length of nothing": ('methods={"freeze-1":{"length":0}}', "methods.freeze-1.freeze.length"),
    "empty grid": ('comparison={"families":{"ewc":[]}}', "comparison.families.ewc"),
    "arm in two families": ('comparison={"families":{"again":["replay-5"]}}', "comparison.families"),
    "unknown arm in a family": ('comparison={"families":{"mine":["mine-1"]}}', "mine-1"),
    "seq is not alone in its family": ('comparison={"families":{"seq":["seq","seq-lr-2e-4"]}}', "seq: [seq]"),
    "seq with knobs of its own": ('methods={"seq":{"length":2.0}}', "'seq' must be"),
    "name that tells another warm-up": ('methods={"seq-warmup-150":{"warmup_steps":15}}', "'seq-warmup-150' tells warmup_steps 150"),
    "name that tells another store": ('methods={"replay-half-20":{"share":0.4}}', "'replay-half-20' tells share 0.2"),
    "name that tells another gamma": ('methods={"lamol-20-distinct":{"pseudo_share":0.4}}', "'lamol-20-distinct' tells pseudo_share 0.2"),
    "warm-up of the whole arm": ('methods={"freeze-1":{"warmup_steps":8000}}', "methods.freeze-1.warmup_steps 8000"),
    "half of an odd batch": ('methods={"replay-half-20":{"batch_size":15}}', "methods.replay-half-20 with mix: half"),
    "direction of a carried state": ('methods={"projection-exact":{"carried_state":true}}', "carried_state is not for this rule"),
    "nothing held": ('methods={"gpm-rows-only":{"hold":[]}}', "methods.gpm-rows-only.gradient_projection.hold"),
    "batch of a task vector": ('methods={"task-vector-0.2":{"batch_size":32}}', "not trained, so it has no batch_size"),
    "length of a task vector": ('methods={"task-vector-0.2":{"length":2.0}}', "not trained"),
    "name that tells another knob": ('methods={"replay-20":{"share":0.4}}', "'replay-20' tells share 0.2"),
    "name that tells another lambda": ('methods={"ewc-1e0":{"penalty":5.0}}', "'ewc-1e0' tells penalty 1"),
    "name of another method": ('methods={"lamol-20":null}', "lamol-20"),
    "infinite penalty": ('methods={"ewc-1e0":{"penalty":.inf}}', "methods.ewc-1e0.ewc.penalty"),
    "not a number": ('methods={"task-vector-0.2":{"alpha":.nan}}', "alpha"),
    "floor that uses Task 0": ('methods={"replay-5":{"start":"pretrained"}}', "see nothing of Task 0"),
    "floor with GPM": ('methods={"projection-gpm-97":{"start":"pretrained"}}', "see nothing of Task 0"),
    "floor whose name does not tell": ('methods={"freeze-1":{"start":"pretrained"}}', "end in -no-task0"),
    "name of a floor that has Task 0": ('methods={"seq-no-task0":{"start":"task0"}}', "end in -no-task0"),
    "controls of an arm without a long probe": ('recovery={"control_arms":["freeze-3"]}', "recovery.control_arms"),
    "steps of recovery that fall": ('recovery={"evaluate_steps":[4,2]}', "recovery.evaluate_steps must rise"),
    "early stop above one": ('task1={"early_stop_accuracy":1.2}', "task1.early_stop_accuracy"),
    "several GPUs without one": ("gpus_for_pretraining=2", "gpus_per_job: 1"),
    "GPUs that cannot share a batch": ("gpus_for_pretraining=3", "pretrain.batch_size 16"),
    "half of the values in a study of whole ones": (
        'methods={"replay-5":{"task1_values":"half"}}',
        "methods.replay-5.task1_values is half, but data.halves is false",
    ),
    "more units than there are": ('methods={"replay-5":{"units":5000}}', "methods.replay-5.units 5000 is more than the 400 of task1"),
    "arm of another experiment": ("factors=[seq,replay-5]", "factors names 'replay-5'"),
    "arm that is on no axis": ("axes=[seq-warmup-150]", "axes names 'seq-warmup-150'"),
    "state of another optimizer": ('methods={"seq-carried-state":{"optimizer":"sgd"}}', "carried_state is the state of AdamW"),
    "same seed twice": ("seeds=[1,1]", "seeds has a value twice"),
    "scale is not a folder name": ("scale=../elsewhere", "scale"),
}


@pytest.mark.parametrize(("given", "named"), BAD.values(), ids=BAD)
def test_bad_config_is_one_message(given: str, named: str) -> None:
    key, _, value = given.partition("=")
    whole = merged()
    update_config(whole, {key: yaml.safe_load(value)})
    with pytest.raises(ConfigError, match=re.escape(named)) as error:
        load_study(whole)
    assert str(error.value).startswith("bad config:\n")


BAD_SEQUENCES = {
    "no task": ({"tasks": []}, "tasks is empty"),
    "a task twice, whose units both would share": ({"tasks": ["task1", "task2", "task2"]}, "tasks names 'task2' twice"),
    "a task without persons": ({"tasks": ["task1", "task9"]}, "'task9', which is no key of data.groups"),
    "a split of Task 0": ({"tasks": ["task1", "task0_train"]}, "'task0_train', which is no key of data.groups that is learned"),
    "persons that no task learns": ({"tasks": ["task1", "control"]}, "'control', which is no key of data.groups that is learned"),
    "another task first": ({"tasks": ["task2", "task1"]}, "tasks begins with 'task2'"),
    "a task without questions": ({"data": {"groups": {"task2": 0}}}, "data.groups.task2"),
    "a task of one person": ({"data": {"groups": {"task2": 1}}}, "data.groups.task2 has one person"),
    "a group of no task": ({"data": {"groups": {"task0_more": 5}}}, "'task0_more' is no group of persons"),
    "a task vector": ({"arms": ["seq", "task-vector-0.2"]}, "'task-vector-0.2' is computed from the run of seq on task1"),
    "an arm that carries its optimizer": ({"arms": ["seq", "seq-carried-state"]}, "'seq-carried-state' carries the optimizer state"),
    "a name that is taken": ({"arms": ["seq", "alone"], "methods": {"alone": {"method": "seq"}}}, "arm 'alone' cannot be"),
}


@pytest.mark.parametrize(("given", "named"), BAD_SEQUENCES.values(), ids=BAD_SEQUENCES)
def test_bad_sequence_is_one_message(given: dict, named: str) -> None:
    whole = merged("sequence.yaml")
    update_config(whole, given)
    with pytest.raises(ConfigError, match=re.escape(named)) as error:
        load_study(whole)
    assert str(error.value).startswith("bad config:\n") and len(str(error.value).splitlines()) == 2


def test_a_sequence_of_one_task_is_the_study_without_one() -> None:
    """Also where the persons of further tasks are there: nothing learns them, and there is no target for them."""
    study, alone = load_study(merged()), load_study(merged("sequence.yaml") | {"tasks": ["task1"]})
    assert study.tasks == ["task1"] and study.targets == alone.targets == ("all", "methods", "architectures")
    found = finetune_job(study, 0, "task1", "seq")
    assert (found.stage, found.earlier, found.later) == ("task1", (), ())
    assert not {"tasks", "later"} & set(json.loads(found.text())), "its config is what it was"
    assert not [path for path in jobs(alone, 0) if path.startswith(("sequence/", "task2/"))]


def test_only_the_arms_of_a_sequence_learn_more_than_task_1() -> None:
    study = load_study(merged("sequence.yaml"))
    assert study.tasks_of("seq") == tuple(study.tasks) and study.tasks_of("ewc-1e0") == ("task1",)
    paths = set(jobs(study, 0))
    assert {"task5/replay-20/config", "task5/alone/config", "sequence/task1/seq/config", "sequence/controls/config"} <= paths
    assert not {"task2/ewc-1e0/config", "task1/alone/config"} & paths
    third = finetune_job(study, 0, "task3", "seq")
    assert (third.earlier, third.later) == (("task1", "task2"), ("task4", "task5")) and not third.every_checkpoint
    assert finetune_job(study, 0, "task3", "alone").tasks == ("task3",)


def test_bad_config_stops_snakemake_without_a_traceback() -> None:
    done = snakemake("-n", "all", "--config", 'task1={"step":5}', "seedz=[1]")
    assert done.returncode != 0
    assert "task1.step: Extra inputs are not permitted" in done.stdout
    assert "seedz: Extra inputs are not permitted" in done.stdout
    assert "Traceback" not in done.stdout


def test_results_that_cannot_be_written_stop_snakemake(tmp_path: Path) -> None:
    for name in ("Snakefile", "config", "workflow", "resources"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "results").write_text("a file where the folder should be")
    done = snakemake("-n", "all", cwd=tmp_path)
    assert done.returncode != 0
    assert f"cannot write results: {tmp_path / 'results'}" in done.stdout
    assert "Traceback" not in done.stdout


SCALES = {
    "laptop": (),
    "smoke": ("smoke.yaml",),
    "blank-names": ("blank-names.yaml",),
    "gpu-small": ("gpu-small.yaml",),
    "factors": ("factors.yaml",),
    "axes": ("axes.yaml",),
    "paper": ("paper.yaml",),
    "pythia-70m": ("paper.yaml", "pythia-70m.yaml"),
    "sequence": ("sequence.yaml",),
    "paper-sequence": ("paper.yaml", "paper-sequence.yaml"),
    "paper-pythia-tokenizer": ("paper.yaml", "pythia-tokenizer.yaml"),
}


@pytest.mark.parametrize(("scale", "overlays"), SCALES.items(), ids=SCALES)
def test_shipped_configs_are_valid(scale: str, overlays: tuple[str, ...]) -> None:
    assert load_study(merged(*overlays)).scale == scale


def test_every_overlay_is_tested_and_explained() -> None:
    text = (ROOT / "config" / "README.md").read_text()
    always = {"config.yaml", "methods.yaml", "architectures.yaml", "replicates.yaml"}
    for file in (ROOT / "config").glob("*.yaml"):
        assert f"{file.name}`" in text, f"{file.name} is not explained"
        assert file.name in {*always, *chain(*SCALES.values())}, f"{file.name} is not tested"


def test_numbers_of_the_papers_study() -> None:
    """By hand; checkpoints are fewer than the paper's every fifth step to 200, which would take 233 GB."""
    study = load_study(merged("paper.yaml"))
    groups = study.data.groups
    assert (groups.task0_train, groups.task0_train + groups.task0_val + groups.task0_test, groups.task1) == (50_000, 100_000, 20_000)
    assert study.data == sections.data(groups=groups), "all values of the pools, five biographies, permuted, with full names"
    assert (study.model.layers, study.model.hidden_size, study.model.heads, study.model.rotary_fraction) == (12, 768, 12, 0.25)
    pretrain = study.pretrain
    assert (pretrain.steps, pretrain.batch_size, pretrain.sequence_length) == (80_000, 96, 512)
    assert pretrain.optimizer == sections.optimizer(
        learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-6, weight_decay=0.1, gradient_clip=1.0
    )
    assert pretrain.schedule == sections.schedule(warmup_steps=1000, final_fraction=0.1)
    tuned = sections.optimizer(5e-6, beta1=0.9, beta2=0.999, epsilon=1e-6, weight_decay=0.01, gradient_clip=1.0)
    for stage in (study.task0, study.task1, study.recovery):
        assert stage.batch_size == 48
        assert stage.optimizer == tuned
        assert stage.schedule == sections.schedule(warmup_steps=0, final_fraction=0.9)
    assert epoch_steps(6 * groups.task0_train, 48, study.task0.epochs) == study.task1.steps == 62_500
    assert epoch_steps(6 * groups.task0_train, 48, 1.0) == 6_250
    kept = checkpoint_steps(study.task1, study.task1.steps)
    assert kept[:25] == [*range(5, 51, 5), *range(60, 201, 10)] and len(kept) == 35 and kept[-1] == 62_500


@pytest.mark.parametrize(("scale", "overlays"), [(name, given) for name, given in SCALES.items() if name != "smoke"])
def test_no_knob_is_left_out_for_want_of_steps(scale: str, overlays: tuple[str, ...]) -> None:
    """All arms that compete in a family are given the same number of steps."""
    study = load_study(merged(*overlays))
    lengths = {family: {study.methods[name].length for name in names} for family, names in study.comparison.families.items()}
    assert {family: found for family, found in lengths.items() if len(found) > 1} == {}


def test_a_job_of_an_arm_gets_what_the_arm_says_and_no_default() -> None:
    study = load_study(merged())
    said = {name: finetune_job(study, 0, "task1", name).method for name in ("seq", "replay-20", "seq-carried-state", "gpm-rows-only")}
    assert said == {
        "seq": {"method": "seq"},
        "replay-20": {"method": "replay", "share": 0.2, "mix": "batch"},
        "seq-carried-state": {"method": "seq", "carried_state": True},
        "gpm-rows-only": {"method": "gradient_projection", "rule": "gpm", "hold": ["rows"], "length": 1.75},
    }
    for name in study.every_arm:
        assert parse_arm(finetune_job(study, 0, "task1", name).method) == study.methods[name]


def test_gpu_small_keeps_the_ratios_of_the_paper() -> None:
    """Science section 2, the last paragraph, and the sizes that it is to have."""
    study = load_study(merged("gpu-small.yaml"))
    groups = study.data.groups
    pretrained = sum(getattr(groups, split) for split in PRETRAINED_GROUPS)
    assert (pretrained, groups.task1) == (4_000, 2_000)
    assert 150 <= study.pretrain.steps * study.pretrain.batch_size / pretrained <= 450, "one biography a row"
    assert epoch_steps(6 * groups.task1, study.task1.batch_size, 1.0) > EARLY_STEP
    parameters = 12 * study.model.layers * study.model.hidden_size**2 + 2 * study.tokenizer.vocabulary_size * study.model.hidden_size
    assert 4e6 < parameters < 25e6


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[type[BaseModel], str, str]]:
    """Every key of a config model that is no section: the class that has it, its name, and its dotted name in the YAML."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield model, name, prefix + name


def test_exactly_what_the_laptop_config_states_has_no_second_value_in_the_code() -> None:
    """A class that stands in several places (an optimizer) may leave to a default what one of them does not state."""
    whole, stated = merged(), {}
    for model, name, path in fields(StudyConfig):
        section = whole
        for part in path.split(".")[:-1]:
            section = section[part]
        stated[model, name] = stated.get((model, name), True) and name in section
    assert {key: key[0].model_fields[key[1]].is_required() for key in stated} == stated


def test_every_key_is_described() -> None:
    assert not [path for model, name, path in fields(StudyConfig) if not model.model_fields[name].description]


def test_every_knob_is_documented_with_its_method() -> None:
    """The table of methods is made from the fields, each of which says what it is."""
    assert "\n".join(knob_table()) in (ROOT / "config" / "README.md").read_text()
    assert all(description for _, _, _, description in knob_rows())
    assert {method for method, *_ in knob_rows()} == set(KNOBS)


def test_the_reference_is_what_the_models_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    run_positional("config_reference", monkeypatch, "--check")
    shutil.copy(ROOT / "config" / "README.md", tmp_path)
    text = (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text(text.replace("| optimizer steps |", "| steps of the optimizer |"))
    with pytest.raises(SystemExit, match=r"README\.md is not what the models say: run"):
        run_positional("config_reference", monkeypatch, "--check", "--config", tmp_path)
    run_positional("config_reference", monkeypatch, "--config", tmp_path)
    assert (tmp_path / "README.md").read_text() == text
    assert (tmp_path / "schema.json").read_text() == (ROOT / "config" / "schema.json").read_text()


def test_the_name_of_a_cell_tells_values_and_format() -> None:
    whole = merged("factors.yaml")
    whole["methods"]["seq-half-other"]["task1_format"] = "statement"
    with pytest.raises(ConfigError, match="factors names 'seq-half-other', but a name tells values and format"):
        load_study(whole)


def test_editors_take_the_shipped_files_and_refuse_what_is_wrong() -> None:
    schema = Draft202012Validator(json.loads((ROOT / "config" / "schema.json").read_text()))
    for file in (ROOT / "config").glob("*.yaml"):
        assert file.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
        assert not [error.message for error in schema.iter_errors(yaml.safe_load(file.read_text()))]
    for wrong in ({"seedz": [1]}, {"task1": {"steps": "many"}}, {"data": {"pools": {"cities": 201}}}, {"gates": "halt"}):
        assert list(schema.iter_errors(wrong))


def test_checkpoint_steps_by_hand() -> None:
    task1 = load_study(merged()).task1.model_copy(update={"checkpoints": [(20, 5), (50, 10), (100, 25), (200, 50)], "later_checkpoints": 4})
    early = [5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200]
    assert checkpoint_steps(task1, 1000) == [*early, 400, 600, 800, 1000]
    assert checkpoint_steps(task1, 60) == [5, 10, 15, 20, 30, 40, 50, 60]
