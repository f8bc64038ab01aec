from __future__ import annotations

import platform
from pathlib import Path

import pytest

from forgetting.config.fields import ConfigError
from forgetting.pipeline.surroundings import STATES, check_folder, check_variables, set_surroundings


@pytest.mark.parametrize(
    ("library", "threshold"),
    [
        (("glibc", "2.36"), 2**30),
        (("glibc", "2.35"), 2**30),
        (("glibc", "2.31"), 32 * 2**20),
        (("glibc", "2.4"), 32 * 2**20),
        (("", ""), 2**30),
    ],
)
def test_old_c_libraries_get_the_highest_threshold_that_they_take(
    library: tuple[str, str], threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    environment: dict[str, str] = {}
    set_surroundings(environment)
    assert environment["MALLOC_MMAP_THRESHOLD_"] == str(threshold)


def test_jobs_of_a_snakemake_below_torchrun_are_no_processes_of_it() -> None:
    environment = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "PATH": "/bin"}
    set_surroundings(environment)
    assert environment["PATH"] == "/bin" and not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} & set(environment)


def test_threads_that_wait_sleep_unless_the_user_says_otherwise() -> None:
    environment: dict[str, str] = {}
    set_surroundings(environment)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    environment["OMP_WAIT_POLICY"] = "ACTIVE"
    set_surroundings(environment)
    assert environment["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.parametrize("given", ["", "soon", "0", "-1", "nan"])
def test_time_between_states_must_be_a_time(given: str) -> None:
    check_variables({STATES: "30"})
    with pytest.raises(ConfigError, match="must be a number of seconds above 0"):
        check_variables({STATES: given})


def test_a_folder_that_a_shell_would_take_apart_is_for_this_machine_only() -> None:
    for name in ("my study", "don't", "a$b"):
        check_folder(Path("/home", name), on_cluster=False)
        with pytest.raises(ConfigError, match="use another folder"):
            check_folder(Path("/home", name), on_cluster=True)
    check_folder(Path("/home/study-2.0_x"), on_cluster=True)
