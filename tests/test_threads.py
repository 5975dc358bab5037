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


SHARES_AND_THREADS = """
import threading, torch
from rldf_gym.threads import compute
torch.set_num_threads(3)
together = threading.Barrier({n_threads})
def work(part):
    together.wait(60)  # as many threads are at work at once
    return part.stop - part.start, torch.get_num_threads(), torch.is_inference_mode_enabled()
print(*compute({network}, {size}, work, share=4, at_most=16), torch.get_num_threads(), sep="; ")
"""
SMALL, LARGE = "torch.nn.Linear(10, 10)", "torch.nn.Linear(5000, 5000)"


@pytest.mark.parametrize(
    ("network", "size", "user", "n_threads", "expected"),
    [
        (SMALL, 0, {}, 1, []),
        (SMALL, 1, {}, 1, [(1, 1)]),
        (SMALL, 5, {}, 2, [(3, 1), (2, 1)]),
        (SMALL, 8, {}, 2, [(4, 1), (4, 1)]),
        (SMALL, 23, {}, 3, [(4, 1), (4, 1), (4, 1), (4, 1), (4, 1), (3, 1)]),
        (SMALL + ".to('meta')", 8, {}, 1, [(8, 3)]),
        (LARGE, 23, {}, 1, [(16, 3), (7, 3)]),
        ("None", 8, {}, 1, [(8, 3)]),
        (SMALL, 8, {"OMP_NUM_THREADS": "2"}, 1, [(8, 3)]),
    ],
    ids=[
        "nothing",
        "one image",
        "less than two shares",
        "two shares",
        "more shares than threads",
        "another device",
        "a large network",
        "no known network",
        "the user's number",
    ],
)
def test_a_small_network_computes_shares_in_threads(network, size, user, n_threads, expected):
    program = SHARES_AND_THREADS.format(network=network, size=size, n_threads=n_threads)
    parts = [f"({size}, {threads}, True)" for size, threads in expected]
    assert run(program, **user) == "; ".join([*parts, "3"])


OVERLAPPING = f"""
import threading, torch
from rldf_gym.threads import compute
torch.set_num_threads(3)
entered, first_left = threading.Event(), threading.Event()
def wait(part):
    entered.set()
    first_left.wait()
    print(torch.get_num_threads(), end=" ")
def second():
    compute({SMALL}, 1, wait, share=1)
    print(torch.get_num_threads(), end=" ")
def later():
    print(torch.get_num_threads())
def start_second(part):
    beside.start()
    entered.wait()
beside = threading.Thread(target=second)
compute({SMALL}, 1, start_second, share=1)
first_left.set()
beside.join()
print(torch.get_num_threads(), end=" ")
after = threading.Thread(target=later)
after.start()
after.join()
"""


def test_overlapping_batches_leave_the_number_of_threads_as_it_was():
    assert run(OVERLAPPING) == "1 3 3 3"


def test_an_error_in_a_thread_is_raised_and_leaves_the_number_of_threads_as_it_was():
    program = (
        "import torch; from rldf_gym.threads import compute; torch.set_num_threads(3)\n"
        "try:\n"
        f"    compute({SMALL}, 8, lambda part: 1 // (4 - part.start), share=4)\n"
        "except ZeroDivisionError:\n"
        "    print(torch.get_num_threads())"
    )
    assert run(program) == "3"


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
