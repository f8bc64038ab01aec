"""Which arms, files and options a figure is given in a study."""

from __future__ import annotations

from tests.study import merged

from forgetting.config.study import load_study
from forgetting.figures.catalogue import read_catalogue
from forgetting.pipeline.shown import arms_of, input_files, option_flags, shown_in

CATALOGUE = read_catalogue()


def test_words_stand_for_arms_each_once() -> None:
    study = load_study(merged())
    assert arms_of(study, ["main", "viewed", "seq"]) == ["seq", *(arm for arm in study.views.arms if arm != "seq")]
    assert arms_of(study, ["compared:ewc,lamol"]) == [*study.comparison.families["ewc"], *study.comparison.families["ewc-batch"], *(
        arm for arm in study.compared_arms if arm.startswith("lamol")
    )]  # fmt: skip
    assert arms_of(study, ["without_task0"]) == ["seq-no-task0"]
    assert arms_of(study, ["freeze-0", "controls"]) == ["freeze-0", "controls"]


def test_files_and_options_by_hand() -> None:
    study = load_study(merged() | {"seeds": [0, 1], "scale": "here", "beside": "there"})
    assert input_files(study, CATALOGUE["fig_fisher_angle"]) == {
        "weights": ["results/here/seed0/views/seq/weights.parquet", "results/here/seed1/views/seq/weights.parquet"],
        "fisher": ["results/here/seed0/fisher/fisher.parquet", "results/here/seed1/fisher/fisher.parquet"],
    }
    beside = input_files(study, CATALOGUE["fig_blank_names"])["pretrained"]
    assert beside[1] == "results/there/seed0/task1/freeze-0/metrics.parquet" and len(beside) == 4
    gates = input_files(study, CATALOGUE["table_gates"])["gates"]
    assert gates[:2] == ["results/here/gates/seed0-task0.json", "results/here/gates/seed0-task1.json"]
    assert input_files(study, CATALOGUE["fig_task_vector"])["paper"] == ["resources/paper_results.yaml"]
    steps = study.recovery.evaluate_steps[-1]
    assert option_flags(study, CATALOGUE["table_recovery_table"]) == f"--early-steps {steps}"


def test_files_of_a_sequence_are_those_of_every_task() -> None:
    study = load_study(merged("sequence.yaml"))
    files = input_files(study, CATALOGUE["fig_sequence_steps"])
    assert len(files["sequence_metrics"]) == 5 * len(study.arms) and files["sequence"] == [
        "results/sequence/seed0/sequence/answers.parquet"
    ]
    assert files["alone"] == [f"results/sequence/seed0/task{number}/alone/metrics.parquet" for number in (2, 3, 4, 5)]


OF_OTHER_STUDIES = {"fig_axes", "table_axes_table", "fig_blank_names", "fig_factors", "table_factors_table", "table_factors_accounts"}
"""What the laptop study has no runs for: their overlays have."""


def test_the_crossed_experiment_has_its_arms() -> None:
    study = load_study(merged("factors.yaml"))
    assert OF_OTHER_STUDIES - set(shown_in(study, CATALOGUE)) == {"fig_axes", "table_axes_table", "fig_blank_names"}
    files = input_files(study, CATALOGUE["table_factors_table"])
    assert len(files["facts"]) == len(files["recovery"]) == 3 * 12
    assert files["halves"] == [f"results/factors/seed{seed}/data/cells/halves.parquet" for seed in range(3)]


def test_what_a_study_has_nothing_for_is_not_there() -> None:
    study = load_study(merged())
    sequence = {rule for rule, shown in CATALOGUE.items() if shown.target == "sequence"}
    assert sequence and set(CATALOGUE) - set(shown_in(study, CATALOGUE)) == OF_OTHER_STUDIES | sequence
    assert sequence <= set(shown_in(load_study(merged("sequence.yaml")), CATALOGUE))
    whole = merged()
    whole["recovery"]["control_arms"] = []
    whole["learning_rate_arms"] = []
    whole["comparison"]["families"] = {"seq": ["seq"]}
    whole["architectures"]["variants"] = dict.fromkeys(whole["architectures"]["variants"])
    gone = OF_OTHER_STUDIES | sequence | {"fig_architectures", "table_architectures_table", "table_recovery_controls", "fig_learning_rate"}
    gone |= {f"fig_{name}" for name in ("freeze_curves", "freeze_depth", "replay_share", "task_vector", "pseudo_examples")}
    assert set(CATALOGUE) - set(shown_in(load_study(whole), CATALOGUE)) == gone
