"""The machine: memory that a step frees is there for the next one, cores, and TPUs."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import jaxlib
import pytest

from cliptail_jax.host import accelerators, cores
from cliptail_jax.host.compiler import FAULTY_JAXLIBS, FLAG, fusions_warning, turn_off_faulty_fusions
from cliptail_jax.host.memory import address_limit_warning

ROOT = Path(__file__).parents[2]
STEPS = """
import resource
import sys
from cliptail_jax.host.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

import jax
import jax.numpy as jnp

@jax.jit
def step(x):
    return jnp.outer(x, x) @ jnp.ones((4096, 8)) @ jnp.ones(8)  # a temporary array of 64 MB

def faults(steps, x):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        x = step(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

x = jnp.linspace(0, 1e-3, 4096)
print(min(faults(4, x) for _ in range(6)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc is set on Linux alone")
def test_a_step_finds_the_memory_of_the_last_one():
    """By the pages that the system had to clear in four steps, of 16,384 for an array.

    In the best four of 24: where another thread takes a little of the freed memory, the heap grows once by another array.
    """
    counts = {}
    for way in ("kept", "returned"):
        process = subprocess.run([sys.executable, "-c", STEPS, way], capture_output=True, text=True, check=True)
        counts[way] = int(process.stdout)
    assert 4 * counts["kept"] < counts["returned"], counts


@pytest.mark.parametrize("quota, expected", [
    (None, 6), ("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 6), ("?", 6),
])  # fmt: skip
def test_a_containers_quota_bounds_the_cores(quota, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setattr(cores, "CPU_MAX", tmp_path / "cpu.max")
    if quota:
        (tmp_path / "cpu.max").write_text(f"{quota}\n", encoding="utf-8")
    assert cores.usable_cores() == expected


@pytest.mark.parametrize(
    "limit, warns", [(1_500_000 * 1024, True), (16 * 10**9, False), (resource.RLIM_INFINITY, False)]
)
def test_a_limit_on_addresses_below_what_a_training_takes_is_named(limit, warns, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda limit_name: (limit, limit))
    assert ("1.5 GB of addresses (ulimit -v)" in address_limit_warning()) == warns


FAULTY_REDUCTION = """
import os
import warnings

warnings.simplefilter("error")
{first}
import jax
import jax.numpy as jnp
import cliptail_jax

i = jnp.arange(32769.0)
rows = jnp.stack((i, 0 * i, 0 * i), axis=1)
print(float(jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2)))(rows)[-1]))
"""


@pytest.mark.parametrize("first, flags, error", [
    ("", "", ""),
    ("", "--xla_force_host_platform_device_count=2", ""),
    ("import jax; jax.devices()", "", "has computed before cliptail_jax was imported"),
])  # fmt: skip
def test_importing_the_package_excludes_faulty_fused_reductions(first, flags, error):
    """The example of jax-ml/jax#39103, which gives 1065369600 in jaxlib 0.10.2 with the fusions."""
    if error and jaxlib.__version__ not in FAULTY_JAXLIBS:
        pytest.skip("this jaxlib has no such error")
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    program = [sys.executable, "-c", FAULTY_REDUCTION.format(first=first)]
    process = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert error in process.stderr if error else process.stdout == "1073741824.0\n", process.stderr


def test_the_flag_of_a_user_stays(monkeypatch):
    monkeypatch.setattr(jaxlib, "__version__", FAULTY_JAXLIBS[0])
    monkeypatch.setenv("XLA_FLAGS", f"{FLAG}=LIBRARY_FUSION_TYPE_REDUCE")
    turn_off_faulty_fusions()
    assert os.environ["XLA_FLAGS"] == f"{FLAG}=LIBRARY_FUSION_TYPE_REDUCE" and fusions_warning().startswith("warning: ")
    monkeypatch.setattr(jaxlib, "__version__", "0.12.0")
    assert not fusions_warning()


@pytest.mark.parametrize("files, expected", [
    ({}, False),
    ({"pci/1/vendor": "0x10de", "pci/1/class": "0x030200", "dev/nvidia0": ""}, False),
    ({"pci/1/vendor": "0x1ae0", "pci/1/class": "0x020000", "pci/2/vendor": "0x1ae0", "pci/2/class": "0x010802"}, False),
    ({"dev/accel/accel0": "", "dev/vfio/vfio": ""}, False),
    ({"pci/1/vendor": "0x8086", "pci/1/class": "0x060000", "pci/2/vendor": "0x1ae0", "pci/2/class": "0x120000"}, True),
    ({"pci/1/vendor": "0x1ae0", "pci/1/class": "0xff0000"}, True),
    ({"dev/accel0": ""}, True),
    ({"dev/vfio/0": ""}, True),
], ids=["none", "a GPU", "network card and disk of a Google VM", "another maker's accelerator", "TPU", "TPU of no class",
        "accel", "vfio"])  # fmt: skip
def test_a_tpu_is_known_by_its_device_file_or_pci_device(files, expected, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    monkeypatch.setattr(accelerators, "DEVICE_FILES", [f"{tmp_path}{pattern}" for pattern in accelerators.DEVICE_FILES])
    monkeypatch.setattr(accelerators, "PCI_DEVICES", f"{tmp_path}/pci/*")
    assert accelerators.has_tpus() == expected


@pytest.mark.parametrize("environment, has_gpu, restores, starts", [
    ({}, False, False, False),
    ({}, False, True, True),
    ({}, True, False, True),
    ({"JAX_PLATFORMS": "cuda,cpu"}, False, False, True),
], ids=["no GPU", "plan", "GPU", "the user asks for GPUs"])  # fmt: skip
def test_plugins_for_gpus_start_only_where_they_are_needed(environment, has_gpu, restores, starts, tmp_path):
    plugin = tmp_path / "jax_plugins" / "xla_cuda12" / "__init__.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("def initialize(): print('the plugin starts')\n", encoding="utf-8")
    (tmp_path / "nvidia0").touch()
    code = (
        "from cliptail_jax.host import accelerators; from cliptail_jax.programs import prepare_process\n"
        f"accelerators.GPU_FILES = [{str(tmp_path / ('nvidia0' if has_gpu else 'none'))!r}]\n"
        "prepare_process()\n"
        f"if {restores}: accelerators.restore_cuda()\n"
        "import jax_plugins.xla_cuda12 as plugin; plugin.initialize()"
    )
    variables = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    variables |= {"PYTHONPATH": f"{tmp_path}:{ROOT}"} | environment
    process = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert ("the plugin starts" in process.stdout) == starts


LIBTPU = "import sys\ndef get_library_path():\n    print('libtpu is loaded', file=sys.stderr)\n"
PROGRAM = """
import os, sys
from cliptail_jax.host import accelerators
from cliptail_jax.programs import prepare_process
accelerators.has_tpus = lambda: {has_tpus}
prepare_process()
if {compiles}:
    accelerators.restore_libtpu()
import jax
jax.devices()
print(os.environ.get("TPU_LIBRARY_PATH"))
"""


@pytest.mark.parametrize("environment, has_tpus, compiles, loads", [
    ({}, False, False, False),
    ({}, False, True, True),
    ({}, True, False, True),
    ({"JAX_PLATFORMS": "tpu"}, False, False, True),
    ({"TPU_LIBRARY_PATH": "libtpu/libtpu.so"}, False, False, False),
    ({"TPU_LIBRARY_PATH": "mine/libtpu.so"}, False, False, False),
], ids=["no TPU", "plan", "TPU", "the user asks for TPUs", "libtpu's own path", "the user's path"])  # fmt: skip
def test_libtpu_is_loaded_only_where_it_is_needed(environment, has_tpus, compiles, loads, tmp_path):
    """A package in its place prints a line where JAX looks for its library."""
    for file, text in {"libtpu/__init__.py": LIBTPU, "libtpu/libtpu.so": "", "mine/libtpu.so": ""}.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    environment = {name: str(tmp_path / value) if "PATH" in name else value for name, value in environment.items()}
    variables = {k: v for k, v in os.environ.items() if k not in ("JAX_PLATFORMS", "TPU_LIBRARY_PATH")}
    variables["PYTHONPATH"] = f"{tmp_path}:{ROOT}"
    program = [sys.executable, "-c", PROGRAM.format(has_tpus=has_tpus, compiles=compiles)]
    process = subprocess.run(program, env=variables | environment, capture_output=True, text=True)
    assert ("libtpu is loaded" in process.stderr) == loads, process.stderr
    if not loads:
        library_path = environment.get("TPU_LIBRARY_PATH") if "mine" in str(environment) else None
        assert (process.returncode, process.stderr, process.stdout) == (0, "", f"{library_path}\n")
