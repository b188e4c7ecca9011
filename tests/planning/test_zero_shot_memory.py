"""The memory that evaluation of a published model needs, by the TPU's compiler."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json
from cliptail_jax.planning.topologies import find_topology
from cliptail_jax.planning.zero_shot import zero_shot_memory

def memory(vocabulary, batch_size):
    vision = {"image_size": 32, "patch_size": 8, "width": 128, "head_width": 64, "layers": 1}
    text = {"context_length": 8, "vocab_size": vocabulary, "width": 128, "heads": 2, "layers": 1}
    description = {"model_cfg": {"embed_dim": 64, "vision_cfg": vision, "text_cfg": text}}
    return zero_shot_memory(description, find_topology("v5e-1"), {}, batch_size=batch_size, classes=10)

print(json.dumps([memory(1000, 256), memory(2000, 256), memory(1000, 512)]))  # the second is in the cache
"""


@pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="the TPU compiler is not installed")
def test_both_towers_and_a_batch_are_counted(tmp_path):
    environment = {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "true"}
    environment |= {"TPU_ACCELERATOR_TYPE": "v5litepod-8", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "XLA_FLAGS": "", "TPU_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    plain, larger_vocabulary, larger_batch = json.loads(done.stdout)
    assert larger_vocabulary - plain == 4 * 1000 * 128  # embeddings of the text tower, which the step does not use
    assert larger_batch - plain >= 256 * 32 * 32 * 3  # images as bytes
