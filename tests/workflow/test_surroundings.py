"""The pipeline works where its user has it: in a folder with spaces, under another locale, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.figures.synthetic_views import landscape
from tests.study import ROOT, SMOKE, snakemake
from tests.workflow.scripts import RESOURCES, smoke_config

from forgetting.model.checkpoints import save_checkpoint
from forgetting.schemas.landscape import LANDSCAPE
from forgetting.tables import write_table

SCRIPTS = ROOT / "workflow" / "scripts"
ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMA_LOCALES = ("de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_BR", "ru_RU")
"""Countries that write 0,5."""


def locales() -> dict[str, dict[str, str]]:
    """Environments to run in: plain C, text in ASCII only, and a decimal comma where such a locale is installed."""
    installed = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.split() if shutil.which("locale") else []
    comma = [name for name in installed if name.startswith(COMMA_LOCALES)]
    return {"C": {"LC_ALL": "C"}, "ascii": ASCII} | ({"comma": {"LC_ALL": comma[0], "LC_NUMERIC": comma[0]}} if comma else {})


@pytest.mark.long
@pytest.mark.smoke
def test_a_folder_with_spaces_and_other_locales(smoke_clone: Path, tmp_path: Path) -> None:
    """A finished study, moved there, has nothing to do; its data, a config and a figure are made again, alike."""
    clone = Path(shutil.copytree(smoke_clone, tmp_path / "Meine Studie über Vergessen", symlinks=True))
    for variables in locales().values():
        env = {key: value for key, value in os.environ.items() if not key.startswith("LC_") and key != "LANG"} | variables
        done = snakemake("-n", "all", *SMOKE, cwd=clone, env=env)
        assert done.returncode == 0 and "Nothing to be done" in done.stdout, (variables, done.stdout[-3000:])
    # In this order: whatever follows from a job that ran would run again.
    for name in ("figures/landscape.svg", "seed0/data/config.json", "seed0/data/items.parquet"):
        path = clone / "results" / "smoke" / name
        before = path.read_bytes()
        done = snakemake("-c1", "--force", str(path.relative_to(clone)), *SMOKE, "--show-failed-logs", cwd=clone, env=env)
        assert done.returncode == 0, (variables, done.stdout[-3000:])
        assert path.read_bytes() == before


BLOCKER = '''
"""Ends every attempt to leave this machine, and writes it down; Python runs this file when it starts."""
import os
import socket
import time

def refuse(what):
    time.sleep = lambda seconds: None  # the hub's client waits longer and longer between its tries
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(f"{what}\\n")
    raise OSError(f"no network in this test: {what}")

def guarded(connect):
    def guard(self, address):
        if self.family == socket.AF_UNIX:
            return connect(self, address)
        refuse(address)
    return guard

socket.socket.connect = guarded(socket.socket.connect)
socket.socket.connect_ex = guarded(socket.socket.connect_ex)
socket.getaddrinfo = lambda host, *rest, **options: refuse(host)
'''


class Offline:
    """Runs Python where no socket can be opened: those of Python are refused and noted, and as root there is no network at all."""

    def __init__(self, folder: Path) -> None:
        self.attempts = folder / "attempts"
        (folder / "sitecustomize.py").write_text(BLOCKER)
        told_so = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
        self.env = {key: value for key, value in os.environ.items() if key not in told_so and "proxy" not in key.lower()}
        self.env |= {"ATTEMPTS": str(self.attempts), "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "workflow")])}
        alone = shutil.which("unshare") and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
        self.prefix = ["unshare", "--net"] if alone else []

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*self.prefix, sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)


@pytest.fixture
def offline(tmp_path: Path) -> Offline:
    (tmp_path / "blocker").mkdir()
    return Offline(tmp_path / "blocker")


@pytest.mark.parametrize(
    "source",
    [
        "import urllib.request as u; u.urlopen('http://example.org')",
        "import socket; socket.create_connection(('192.0.2.1', 80))",
        "from transformers import AutoConfig; AutoConfig.from_pretrained('some-owner/some-model')",
    ],
    ids=["url", "address", "hub"],
)
def test_an_attempt_would_be_noticed(source: str, offline: Offline) -> None:
    assert offline.run("-c", source).returncode != 0
    assert offline.attempts.read_text()


@pytest.mark.long
def test_jobs_touch_no_network(offline: Offline, tiny_data: Path, tiny_model: Any, tmp_path: Path) -> None:
    """Data, training, a figure; nothing but the code itself keeps them from calling home."""
    config = smoke_config(tmp_path)
    done = offline.run(SCRIPTS / "data.py", "--config", config, "--resources", RESOURCES, "--output", tmp_path / "data")
    assert done.returncode == 0, done.stdout

    save_checkpoint(tiny_model, tmp_path / "model")
    flags = ["--config", smoke_config(tmp_path, "task0"), "--data", tiny_data, "--start", tmp_path / "model"]
    done = offline.run(SCRIPTS / "task0.py", *flags, "--scratch", tmp_path / "scratch", "--output", tmp_path / "task0")
    assert done.returncode == 0, done.stdout

    write_table(landscape(0, "seq").reindex(columns=LANDSCAPE.names), tmp_path / "landscape.parquet", LANDSCAPE)
    flags = ["--landscape", tmp_path / "landscape.parquet", "--output", tmp_path / "figure"]
    done = offline.run(SCRIPTS / "show.py", "fig_landscape", *flags)
    assert done.returncode == 0, done.stdout
    assert not offline.attempts.exists(), offline.attempts.read_text()


def test_a_tokenizer_that_is_nowhere_is_named(offline: Offline, tmp_path: Path) -> None:
    """The hub is asked only for a tokenizer that the config names, and the message says which key did."""
    config = smoke_config(tmp_path)
    config.write_text(
        config.read_text().replace('"kind": "word"', '"kind": "path"').replace('"path": null', '"path": "some-owner/some-tokenizer"')
    )
    done = offline.run(SCRIPTS / "data.py", "--config", config, "--resources", RESOURCES, "--output", tmp_path / "data")
    assert done.returncode != 0
    assert "tokenizer.path 'some-owner/some-tokenizer'" in done.stdout and "Traceback" not in done.stdout
