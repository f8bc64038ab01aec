from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from tests import sections

from forgetting.config.jobs.base import Job
from forgetting.data.items import Items
from forgetting.training import loop
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, TrainingError, train
from forgetting.training.optimizer import build_optimizer, learning_rate_factor
from forgetting.training.resume import Scratch

RUN = Job(scale="tiny", seed=0, stage="task0")


def adamw(model) -> torch.optim.Optimizer:
    """An optimizer that has made no step."""
    return build_optimizer(model.named_parameters(), sections.optimizer(learning_rate=1e-3))


def plan_of(questions: Items, evaluate=lambda step: None, steps: int = 12, **options) -> Plan:
    optimizer = sections.optimizer(learning_rate=1e-3, **options)
    return Plan(
        steps,
        QuestionBatches(questions, 8, 0),
        optimizer,
        sections.schedule(warmup_steps=3, final_fraction=0.1),
        frozenset(range(0, steps + 1, 4)),
        evaluate,
    )


def test_the_same_seed_gives_the_same_weights(tiny_model, tiny_questions) -> None:
    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    train(tiny_model, plan_of(tiny_questions))
    first = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    tiny_model.load_state_dict(start)
    train(tiny_model, plan_of(tiny_questions))
    assert all(torch.equal(first[name], value) for name, value in tiny_model.state_dict().items())
    assert any(not torch.equal(start[name], value) for name, value in first.items())


def test_a_terminated_job_resumes_to_the_same_weights(tiny_model, tiny_questions, tmp_path: Path) -> None:
    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    undisturbed = train(tiny_model, plan_of(tiny_questions, lambda step: torch.tensor([step])))
    expected = {name: value.clone() for name, value in tiny_model.state_dict().items()}

    def terminate_once(step: int) -> torch.Tensor:
        if step == 8 and not (tmp_path / "sent").exists():
            (tmp_path / "sent").touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return torch.tensor([step])

    tiny_model.load_state_dict(start)
    with pytest.raises(SystemExit) as ended:
        train(tiny_model, plan_of(tiny_questions, terminate_once), Scratch(tmp_path / "scratch", RUN))
    assert ended.value.code == 128 + signal.SIGTERM
    tiny_model.load_state_dict(start)
    resumed = train(tiny_model, plan_of(tiny_questions, terminate_once), Scratch(tmp_path / "scratch", RUN))
    assert all(torch.equal(expected[name], value) for name, value in tiny_model.state_dict().items())
    assert resumed.losses == undisturbed.losses
    assert resumed.evaluations == undisturbed.evaluations


def test_what_is_measured_does_not_depend_on_the_clock(tiny_model, tiny_questions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOSSES", 3)
    assert train(tiny_model, plan_of(tiny_questions, steps=9)).steps == [3, 4, 6, 8, 9]
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_LINES", 0)
    assert train(tiny_model, plan_of(tiny_questions, steps=9)).steps == [3, 4, 6, 8, 9]


def test_an_evaluation_is_broken_off_and_done_again(tiny_model, tiny_questions, tmp_path: Path) -> None:
    calls = []

    def evaluate(step: int) -> int:
        calls.append(step)
        if calls == [0, 4]:
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("the signal comes before this line")
        return step

    with pytest.raises(SystemExit):
        train(tiny_model, plan_of(tiny_questions, evaluate), Scratch(tmp_path, RUN))
    history = train(tiny_model, plan_of(tiny_questions, evaluate), Scratch(tmp_path, RUN))
    assert calls == [0, 4, 4, 8, 12] and list(history.evaluations) == ["0", "4", "8", "12"]


def test_a_changed_config_never_resumes_an_old_state(tiny_model, tmp_path: Path) -> None:
    Scratch(tmp_path, RUN).save(5, tiny_model, adamw(tiny_model), {})
    assert Scratch(tmp_path, RUN).load(tiny_model, adamw(tiny_model)) == (5, {})
    assert Scratch(tmp_path, RUN.model_copy(update={"seed": 1})).load(tiny_model, adamw(tiny_model)) is None


def test_changed_input_files_never_resume_an_old_state(tiny_model, tmp_path: Path) -> None:
    start = tmp_path / "model.safetensors"
    start.write_bytes(b"old")
    Scratch(tmp_path / "scratch", RUN, [start]).save(5, tiny_model, adamw(tiny_model), {})
    assert Scratch(tmp_path / "scratch", RUN, [start]).load(tiny_model, adamw(tiny_model)) == (5, {})
    start.write_bytes(b"new")
    assert Scratch(tmp_path / "scratch", RUN, [start]).load(tiny_model, adamw(tiny_model)) is None


def test_a_truncated_state_starts_afresh(tiny_model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scratch = Scratch(tmp_path, RUN)
    scratch.save(5, tiny_model, adamw(tiny_model), {})
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    assert scratch.load(tiny_model, adamw(tiny_model)) is None
    assert "state.pt: cannot be read" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_stops_the_job(tiny_model, tiny_questions) -> None:
    with torch.no_grad():
        tiny_model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss is nan at step"):
        train(tiny_model, plan_of(tiny_questions))


def test_schedule() -> None:
    schedule = sections.schedule(warmup_steps=10, final_fraction=0.1)
    factors = [learning_rate_factor(schedule, step, 110) for step in range(110)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == factors[10] == pytest.approx(1)
    assert factors[60] == pytest.approx(0.55)
    assert factors[-1] == pytest.approx(0.1, abs=1e-3)
    assert learning_rate_factor(sections.schedule(), 70, 100) == 1


def test_weight_decay_spares_biases_and_norms(tiny_model) -> None:
    optimizer = build_optimizer(tiny_model.named_parameters(), sections.optimizer(learning_rate=1e-3, weight_decay=0.1))
    for group in optimizer.param_groups:
        assert {parameter.ndim >= 2 for parameter in group["params"]} == {group["weight_decay"] > 0}
