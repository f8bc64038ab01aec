"""Nothing that can hold code is ever loaded: no pickle, no code of a hub."""

from __future__ import annotations

import ast
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study import ROOT
from tests.workflow.scripts import smoke_config

from forgetting.config.jobs.data import DataJob
from forgetting.model.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from forgetting.training.resume import STATE, Scratch

UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
UNSAFE_METHODS = {"read_pickle", "to_pickle"}
UNSAFE_CALLS = {"eval", "exec"}
NEEDED = {("torch", "load"): ("weights_only", True), ("np", "load"): ("allow_pickle", False), ("numpy", "load"): ("allow_pickle", False)}


def dangers(source: str) -> Iterator[str]:
    """What in a Python source could run code from a file that it reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"line {node.lineno}: imports {name}" for name in names if name.partition(".")[0] in UNSAFE_MODULES)
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
        owner, _, name = ast.unparse(node.func).rpartition(".")
        if name in UNSAFE_METHODS or ast.unparse(node.func) in UNSAFE_CALLS:
            yield f"line {node.lineno}: calls {name}"
        for keyword in node.keywords:  # a user may say so, in the key of this name, which is handed down; no code may
            if keyword.arg == "trust_remote_code" and ast.unparse(keyword.value).rpartition(".")[2] != "trust_remote_code":
                yield f"line {node.lineno}: trusts code of a hub"
        key, value = NEEDED.get((owner, name), ("", None))
        if key and given.get(key) is not value:
            yield f"line {node.lineno}: {owner}.{name} without {key}={value}"
        if name == "from_pretrained" and "Model" in owner and not (given.get("use_safetensors") and given.get("local_files_only")):
            yield f"line {node.lineno}: {owner}.from_pretrained without use_safetensors and local_files_only"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "AutoModelForCausalLM.from_pretrained(path, local_files_only=True)",
        "AutoConfig.from_pretrained(path, trust_remote_code=True)",
        "AutoConfig.from_pretrained(path, trust_remote_code=not strict)",
        "eval(text)",
        "exec(text)",
    ],
)
def test_the_scan_finds(source: str) -> None:
    assert list(dangers(source))


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "model.eval()",
        "np.load(path, allow_pickle=False)",
        "load_given(name, trust_remote_code=config.trust_remote_code)",
    ],
)
def test_the_scan_lets_pass(source: str) -> None:
    assert not list(dangers(source))


def test_no_source_of_the_pipeline_can_run_code_from_a_file() -> None:
    files = [path for folder in ("workflow", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): list(dangers(path.read_text(encoding="utf-8"))) for path in files}
    assert {path: reasons for path, reasons in found.items() if reasons} == {}


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_the_bomb_would_go_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "boom")))
    assert (tmp_path / "boom").exists()


@pytest.mark.parametrize("save", [lambda bomb, path: torch.save(bomb, path), lambda bomb, path: path.write_bytes(pickle.dumps(bomb))])
def test_a_pickle_in_place_of_a_state_is_refused(save: Any, tiny_model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = DataJob.load(smoke_config(tmp_path))
    scratch = Scratch(tmp_path / "scratch", run)
    save({"step": 3, "model": Bomb(tmp_path / "boom")}, scratch.folder / STATE)
    assert scratch.load(tiny_model, torch.optim.AdamW(tiny_model.parameters())) is None
    assert not (tmp_path / "boom").exists()
    assert f"{STATE}: cannot be read" in capsys.readouterr().out


def test_a_pickle_in_place_of_weights_is_refused(tiny_model: Any, tmp_path: Path) -> None:
    save_checkpoint(tiny_model, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    torch.save(Bomb(tmp_path / "boom"), weights)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_checkpoint(tmp_path / "model")
    weights.rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_checkpoint(tmp_path / "model")
    assert not (tmp_path / "boom").exists()
