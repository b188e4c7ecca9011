import json
import re
import urllib.error

import pytest

from cliptail_jax.concepts import beam
from tests.commands import command, count

count_on_beam = command("count_on_beam")

needs_beam = pytest.mark.skipif(beam.beam is None, reason="Apache Beam is not installed (extra beam)")
COUNTS = "name\tcount\ncat\t2\ndog or puppy\t3\nemu\t0\n"  # of `corpus`


@pytest.fixture
def corpus(tmp_path):
    """Arguments for a corpus of three files."""
    (tmp_path / "pets.json").write_text(json.dumps([{"name": "cat"}, {"name": "dog or puppy"}, {"name": "emu"}]))
    for number, captions in enumerate(["dogs\ncat and dog\n", "puppy\n\n", "a c\xe4t, cats\ndo\n"]):
        (tmp_path / f"{number}.txt").write_text(captions)
    return [f"--captions={tmp_path}/*.txt", f"--classes={tmp_path}/pets.json", f"--output={tmp_path}/out.tsv"]


@needs_beam
def test_beams_counts_are_those_of_one_machine(corpus, tmp_path):
    assert count_on_beam([*corpus, "--runner=DirectRunner"]) == 0
    assert (tmp_path / "out.tsv").read_text() == COUNTS
    assert count([*corpus[:2], f"--output={tmp_path}/one.tsv"]) == 0
    assert (tmp_path / "one.tsv").read_text() == COUNTS
    assert not list(tmp_path.glob("*unfinished*"))


@needs_beam
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=TMP/pets.json/out.tsv"], "pets.json/out.tsv cannot be written"),
        (["--captions=TMP/*.gz"], "bad.txt.gz: Not a gzipped file"),  # which the pipeline finds
        (["--runner=DirctRunner"], "--runner=DirctRunner: Unexpected pipeline runner: DirctRunner. Valid values are "),
        (["--runner=nowhere.Runner"], "--runner=nowhere.Runner: No module named 'nowhere'"),
        (
            ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--job_server_timeout=1"],
            "--runner=PortableRunner: nobody answers at its --job_endpoint",
        ),
        (
            ["--runner=FlinkRunner", "--flink_job_server_jar=no.jar"],
            '--runner=FlinkRunner: Unable to parse jar URL "no',
        ),
        (
            ["--runner=SparkRunner"],
            "--runner=SparkRunner: Unable to fetch remote job server jar at .* Name or service not known",
        ),
    ],
)
def test_a_beam_command_that_cannot_run_is_one_line(corpus, tmp_path, capsys, monkeypatch, arguments, message):
    """There is no network."""

    def unreachable(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("apache_beam.utils.subprocess_server.urlopen", unreachable)
    monkeypatch.setattr("apache_beam.utils.subprocess_server.JavaJarServer.JAR_CACHE", str(tmp_path / "jars"))
    (tmp_path / "bad.txt.gz").write_text("no gzip")
    assert count_on_beam([*corpus, *(argument.replace("TMP", str(tmp_path)) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert re.match(f"error: .*{message}", error) and error.count("\n") == 1
    assert not list(tmp_path.glob("out.tsv*"))


def test_without_beam_one_line_says_how_to_get_it(corpus, monkeypatch, capsys):
    monkeypatch.setattr(beam, "beam", None)
    assert count_on_beam(corpus) == 2
    assert capsys.readouterr().err == "error: Apache Beam is not installed: pip install 'cliptail_jax[beam]'\n"


@pytest.mark.program
@needs_beam
def test_counts_on_a_dask_cluster_are_those_of_one_machine(corpus, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra dask)")
    with distributed.LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster:
        address = f"--dask_client_address={cluster.scheduler_address}"
        assert count_on_beam([*corpus, "--runner=dask", address]) == 0
        distributed.default_client().close()
    assert (tmp_path / "out.tsv").read_text() == COUNTS
