from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.workflow.scripts import run_script

from forgetting.config.jobs.views.shared import FisherJob
from forgetting.model.anatomy import Anatomy
from forgetting.model.checkpoints import save_checkpoint
from forgetting.schemas.fisher import FISHER
from forgetting.tables import read_table, write_table
from forgetting.training.fisher import diagonal_fisher
from forgetting.views import fisher as view
from forgetting.views.fisher import fisher_by_matrix

RUN = FisherJob(scale="tiny", seed=4)


def test_every_matrix_has_one_row_and_the_weights_add_up(tiny_model, tiny_questions, tmp_path: Path) -> None:
    rows = fisher_by_matrix(RUN, tiny_model, tiny_questions)
    write_table(rows, tmp_path / "fisher.parquet", FISHER)
    expected = {
        (0, "embedding"),
        (3, "output_embedding"),
        *((layer, part) for layer in (1, 2) for part in Anatomy(tiny_model.config).components),
    }
    assert set(zip(rows["layer"], rows["component"], strict=True)) == expected
    assert len(rows) == len(expected)
    assert rows["weights"].sum() == sum(parameter.numel() for parameter in tiny_model.parameters() if parameter.ndim == 2)
    assert set(rows["scale"]) == {"tiny"} and set(rows["seed"]) == {4}


def test_the_means_against_brute_force(tiny_model, tiny_questions) -> None:
    """Rows of the fused matrix, counted by hand: of each head's 48, 16 of query, then key, then value."""
    rows = fisher_by_matrix(RUN, tiny_model, tiny_questions).set_index(["layer", "component"])["fisher"]
    fisher = diagonal_fisher(tiny_model, tiny_questions.of("task0_train"))
    names = {
        "attention_output": "attention.dense.weight",
        "mlp_input": "mlp.dense_h_to_4h.weight",
        "mlp_output": "mlp.dense_4h_to_h.weight",
    }
    for layer in range(2):
        block = f"gpt_neox.layers.{layer}."
        for component, name in names.items():
            assert rows[layer + 1, component] == pytest.approx(fisher[block + name].mean().item(), rel=1e-4)
        fused = fisher[block + "attention.query_key_value.weight"]
        for part, component in enumerate(("query", "key", "value")):
            own = [row for row in range(96) if row % 48 // 16 == part]
            assert rows[layer + 1, component] == pytest.approx(fused[own].mean().item(), rel=1e-4)
    assert rows[0, "embedding"] == pytest.approx(fisher["gpt_neox.embed_in.weight"].mean().item(), rel=1e-4)
    output = next(name for name, each in tiny_model.named_parameters() if each is tiny_model.get_output_embeddings().weight)
    assert rows[3, "output_embedding"] == pytest.approx(fisher[output].mean().item(), rel=1e-4)


def test_value_rows_are_those_that_still_matter_without_attention_scores(tiny_model, tiny_questions) -> None:
    """With queries and keys of zero, attention is uniform and neither has a gradient, whatever the values are."""
    with torch.no_grad():
        for layer in tiny_model.gpt_neox.layers:
            for fused in (layer.attention.query_key_value.weight, layer.attention.query_key_value.bias):
                fused.unflatten(0, (2, 3, 16))[:, :2] = 0
    rows = fisher_by_matrix(RUN, tiny_model, tiny_questions).set_index(["layer", "component"])["fisher"]
    for layer in (1, 2):
        assert rows[layer, "query"] == rows[layer, "key"] == 0 < rows[layer, "value"]


def test_only_task0_train_is_read_and_not_more_than_the_limit(tiny_model, tiny_questions, monkeypatch) -> None:
    read = []

    def record(model, questions, *rest):
        read.append(questions)
        return diagonal_fisher(model, questions.select(torch.arange(2).numpy()), *rest)

    monkeypatch.setattr(view, "diagonal_fisher", record)
    monkeypatch.setattr(view, "MOST_QUESTIONS", 11)
    fisher_by_matrix(RUN, tiny_model, tiny_questions)
    assert set(read[0].split) == {"task0_train"} and len(read[0]) == 11


def test_the_script_writes_the_same_table(tiny_model, tiny_questions, tiny_data: Path, tmp_path: Path, monkeypatch) -> None:
    save_checkpoint(tiny_model, tmp_path / "task0")
    (tmp_path / "config.json").write_text(RUN.model_dump_json(include={"scale", "seed", "stage"}))
    given = {"config": tmp_path / "config.json", "questions": tiny_data / "items.parquet", "task0": tmp_path / "task0"}
    run_script("view_fisher", monkeypatch, **given, output=tmp_path / "out" / "fisher.parquet")
    found = read_table(tmp_path / "out" / "fisher.parquet", FISHER)
    expected = fisher_by_matrix(RUN, tiny_model, tiny_questions)
    assert found["fisher"].to_numpy() == pytest.approx(expected["fisher"].to_numpy(), rel=1e-4)
    assert found[["layer", "component", "weights"]].values.tolist() == expected[["layer", "component", "weights"]].values.tolist()
