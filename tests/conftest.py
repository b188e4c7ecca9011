"""Eight virtual CPU devices, of which runs use one unless a module asks for more, and absl flags as a main program would have left them."""

import fcntl
import functools
import gc
import importlib.metadata
import os
import random
import tempfile

gc.disable()  # imports would take a third longer
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"
# A thread waits in each collective of each device. With XLA's default, a thread a device, two collectives that are ready at
# once can take all of them, each with some of its devices: then both wait for ever.
os.environ["PJRT_NPROC"] = "64"
# Compiling is most of the time that the tests take, and fused kernels half of that; later jaxlibs have no such flag.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
# The cores are busy: to compile a program in parts at the same time takes more of their time.
os.environ["XLA_FLAGS"] += " --xla_cpu_parallel_codegen_split_count=1"
os.environ["XLA_FLAGS"] += " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if "PYTEST_XDIST_WORKER" not in os.environ:  # shared by all processes of the tests, and the programs that tests start
    _CACHE = tempfile.TemporaryDirectory(prefix="compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

from absl import flags  # noqa: E402

if not flags.FLAGS.is_parsed():  # Grain's worker processes inherit the flags, and refuse unparsed ones
    flags.FLAGS(["pytest"])

import jaxtyping  # noqa: E402
import pytest  # noqa: E402

import tests.typechecking  # noqa: E402, F401

# Before the package is imported; modules that are not checked need no hook, which takes time.
jaxtyping.install_import_hook(tests.typechecking.checked_modules(), "tests.typechecking.check")

from tests.tiny_runs import RESNET, devices, tiny  # noqa: E402


def pytest_collection_finish():
    """Full garbage collections, which visit all that was imported and compiled, would take a twentieth of the time."""
    gc.freeze()
    gc.set_threshold(700, 10, 100)
    gc.enable()


def pytest_collection_modifyitems(items):
    """Files that take longest first: whole programs, then folders from `transfer` to `claims`.

    Else one process of the tests waits minutes for the other at the end.
    """
    items.sort(key=lambda item: item.path.parent, reverse=True)
    items.sort(key=lambda item: item.path.parent.name != "tests")


@pytest.fixture(autouse=True)
def items_that_are_checked_are_the_same_every_time():
    """beartype checks one item of a list, which Python's random numbers choose."""
    random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def arrays_are_saved_whole():
    """Orbax has eight devices each save an eighth, for which each shape of an array is compiled; programs that tests start do."""
    from orbax.checkpoint import v1 as ocp

    context = ocp.Context()
    context.array.saving.use_replica_parallel = False
    with context:
        yield


@pytest.fixture(scope="module", autouse=True)
def devices_of_runs(request):
    """Runs have one device, for which they compile in two thirds of the time; in a module of tests, its `DEVICES`."""
    with devices(getattr(request.module, "DEVICES", 1)):
        yield


@pytest.fixture
def unchecked():
    """Annotations are not checked: for tests of what functions themselves say to arguments of a wrong type."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Gives the folder that `make` has filled, in the first process of the tests that asks for the name; the others wait."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def get(name, make):
        folder = shared / f"once_{name}"
        with open(f"{folder}.made", "ab") as made:
            fcntl.flock(made, fcntl.LOCK_EX)
            if not os.path.getsize(made.name):
                folder.mkdir(exist_ok=True)
                make(folder)
                made.write(b"1")
        return folder

    return get


@pytest.fixture(scope="session")
def trained_once(made_once):
    """Gives a config and the work directory of its run, which is for all processes of the tests and not to be changed."""
    from cliptail_jax.jobs.train import train

    def get(name, config, number=1):
        def make(folder):
            with devices(number):
                train(config, folder / "run")

        return config, made_once(name, make) / "run"

    return get


@pytest.fixture(scope="session")
def glyphs_dir(made_once):
    """A data_dir with a small glyphs data set: 100 classes, 8 training and 2 test images each."""
    from cliptail_jax.datasets.build import build
    from cliptail_jax.datasets.glyphs.glyphs import Glyphs

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Glyphs, "IMAGES_PER_CLASS", {"train": 8, "test": 2})
            build("glyphs", str(folder))

    return made_once("glyphs", make)


@pytest.fixture
def tiny_members(monkeypatch):
    """Tiny members of timm's families, which exist in tests only, are known by their names."""
    from tests import tiny_members

    tiny_members.add(monkeypatch)


@pytest.fixture(scope="session")
def small_config(glyphs_dir):
    """Makes configs of a family whose model trains in a test: 12 classes, a network of a few thousand parameters."""
    return lambda family: tiny(family, glyphs_dir)


@pytest.fixture
def sup_config(small_config):
    from configs import sup

    return small_config(sup)


@pytest.fixture
def clip_config(small_config):
    from configs import clip

    return small_config(clip)


@pytest.fixture(scope="session")
def trained_run(trained_once, small_config):
    """Gives the config and work directory of a run of two steps, each saved: 'sup' with averages, 'clip' or 'dino'."""
    from configs import clip, dino, sup

    families = {"sup": sup, "clip": clip, "dino": dino}

    @functools.cache
    def get(name):
        config = small_config(families[name])
        config.total_steps, config.checkpoint.every_steps, config.eval.sets = 2, 1, ()
        if name == "sup":
            config.optimizer.ema_decay = 0.5
        if name != "clip":
            config.model.image.update(RESNET)
        else:
            config.model.activation, config.model.text.context_length = "quick_gelu", 12
        if name == "dino":
            config.data.multi_crop.num_local = 0  # a step on small crops, too, takes twice as long to compile
            config.dino.update({"prototypes": 40, "hidden": 16, "bottleneck": 8, "freeze_last_layer": 1})
            config.vocabulary.size, config.optimizer.warmup_epochs = 10, 0
        return trained_once(name, config)

    return get
