import os
import subprocess
import sys

import pytest

from rldf_gym.threads import available_processors

N_ALLOWED = available_processors()
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def run(program: str, **variables: str) -> str:
    """Return what a new process prints in which only these of the OpenMP variables are set."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, text=True, env={**clean, **variables}).strip()


def test_importing_the_package_bounds_the_spinning_and_loads_no_torch():
    program = (
        "import sys, os, rldf_gym; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    )
    assert run(program) == "1000 False"


@pytest.mark.parametrize(
    ("name", "value"),
    [("GOMP_SPINCOUNT", "5"), ("OMP_WAIT_POLICY", "active"), ("OMP_NUM_THREADS", "3")],
)
def test_a_setting_of_the_user_stays(name, value):
    program = f"import os, rldf_gym; print({VARIABLES}, [os.environ.get(n) for n in {VARIABLES}])"
    expected = [value if each == name else None for each in VARIABLES]
    assert run(program, **{name: value}) == f"{VARIABLES} {expected}"


THREADS_AFTER_OPENING_A_DEVICE = (
    "from rldf_gym.errors import RLDFError; from rldf_gym.model_loading import open_device; "
    "import torch; {before}; open_device('cpu'); {after}; "
    "print(torch.get_num_threads())"
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("torch.set_num_threads(64)", "", N_ALLOWED),
        ("torch.set_num_threads(1)", "", 1),
        ("", "torch.set_num_threads(64); open_device('cpu')", 64),
    ],
    ids=["too many", "fewer than there are", "changed afterwards"],
)
def test_a_model_gets_no_more_threads_than_processors(before, after, expected):
    program = THREADS_AFTER_OPENING_A_DEVICE.format(before=before or "0", after=after or "0")
    assert run(program) == str(expected)


def test_a_user_who_sets_the_number_in_the_environment_decides_alone():
    many = THREADS_AFTER_OPENING_A_DEVICE.format(before="torch.set_num_threads(64)", after="0")
    assert run(many, OMP_NUM_THREADS="3") == "64"


THREADS_OF_INFERENCE = (
    "import torch; from rldf_gym.threads import inference; torch.set_num_threads(3)\n"
    "with inference({network}, {batch_size}): print(torch.get_num_threads(), end=' ')\n"
    "print(torch.get_num_threads())"
)
SMALL, LARGE = "torch.nn.Linear(10, 10)", "torch.nn.Linear(5000, 5000)"


@pytest.mark.parametrize(
    ("network", "batch_size", "user", "expected"),
    [
        (SMALL, 1, {}, "1 3"),
        (SMALL, 7, {}, "1 3"),
        (SMALL, 8, {}, "3 3"),
        (LARGE, 1, {}, "3 3"),
        ("None", 1, {}, "3 3"),
        (SMALL, 1, {"OMP_NUM_THREADS": "2"}, "3 3"),
    ],
    ids=["one image", "a few", "many", "a large network", "no known network", "the user's number"],
)
def test_a_small_batch_of_a_small_network_takes_one_thread(network, batch_size, user, expected):
    program = THREADS_OF_INFERENCE.format(network=network, batch_size=batch_size)
    assert run(program, **user) == expected


OVERLAPPING = f"""
import threading, torch
from rldf_gym.threads import inference
torch.set_num_threads(3)
entered, first_left = threading.Event(), threading.Event()
def second():
    with inference({SMALL}, 1):
        entered.set()
        first_left.wait()
        print(torch.get_num_threads(), end=" ")
    print(torch.get_num_threads(), end=" ")
def later():
    print(torch.get_num_threads())
beside = threading.Thread(target=second)
with inference({SMALL}, 1):
    beside.start()
    entered.wait()
first_left.set()
beside.join()
print(torch.get_num_threads(), end=" ")
after = threading.Thread(target=later)
after.start()
after.join()
"""


def test_overlapping_batches_leave_the_number_of_threads_as_it_was():
    assert run(OVERLAPPING) == "1 3 3 3"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, N_ALLOWED),
        ("0::/\n", {"cpu.max": "100000 100000"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/the/hosts/path\n", {"cpu.max": "100000 100000"}, 1),
        (
            "2:memory:/x\n4:cpu,cpuacct:/x\n",
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "100000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            1,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, N_ALLOWED),
        ("", {}, N_ALLOWED),
    ],
    ids=[
        "no quota",
        "one processor",
        "half a processor",
        "the parent's quota",
        "the path of the host",
        "version 1",
        "version 1 without quota",
        "no cgroups",
    ],
)
def test_the_quota_of_a_container_counts(tmp_path, groups, files, expected):
    (tmp_path / "self").write_text(groups)
    for name, text in files.items():
        file = tmp_path / "mounts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert available_processors(tmp_path / "self", tmp_path / "mounts") == expected
