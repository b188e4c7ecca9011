"""Eight virtual CPU devices for every test, and absl flags as a main program would have left them."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

from absl import flags

if not flags.FLAGS.is_parsed():  # Grain's worker processes inherit the flags, and refuse unparsed ones
    flags.FLAGS(["pytest"])
