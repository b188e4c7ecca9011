"""The environment of programs that compile for accelerators that this machine lacks."""

from collections.abc import Sequence

NO_CHIPS = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def compiler_environment(arguments: Sequence[str]) -> dict[str, str]:
    """The variables that must be set before JAX is imported.

    Without --measure, the chips of this machine, if any, are not needed, but libtpu would look for them: ask the cloud's metadata
    server, take a lock that only one process can have, and warn.
    """
    measures = any(argument.lstrip("-").partition("=")[0] == "measure" for argument in arguments)
    return {"TPU_MIN_LOG_LEVEL": "3"} | ({} if measures else NO_CHIPS)
