"""Programs as functions of their arguments, in this process: each returns its exit status."""

from cliptail_jax import programs
from cliptail_jax.host.errors import exit_status
from cliptail_jax.host.printing import checked_output


def command(name):
    """The program of a name. Unlike the command `cliptail`, it does not end the process."""

    @checked_output()
    def with_exit_status(arguments):
        return exit_status(lambda: programs.run([name, *arguments]))

    return with_exit_status


(
    build,
    collect,
    count,
    describe,
    evaluate,
    export,
    figures,
    forecast,
    laion,
    make_head,
    measure,
    predict,
    report,
    study,
) = map(
    command,
    (
        "build",
        "collect",
        "count",
        "describe",
        "evaluate",
        "export",
        "figures",
        "forecast",
        "laion",
        "make_head",
        "measure",
        "predict",
        "report",
        "study",
    ),
)
