"""The environment of programs that compile for accelerators that this machine lacks."""

NO_CHIPS = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def compiler_environment(measures: bool) -> dict[str, str]:
    """The variables that must be set before JAX is imported. `measures` is whether steps are measured on this machine's chips.

    If they are not, the variables prevent libtpu from looking for chips: it would ask the cloud's metadata server, take a lock
    that only one process can have, and warn.
    """
    return {"TPU_MIN_LOG_LEVEL": "3"} | ({} if measures else NO_CHIPS)
