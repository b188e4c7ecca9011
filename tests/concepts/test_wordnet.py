import os
import pathlib
import socket
import subprocess
import threading
import time

import nltk
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader
from nltk.stem import WordNetLemmatizer

from cliptail_jax.concepts import wordnet as module
from cliptail_jax.concepts.wordnet import copy_debian_files, lemmas, lexnames, synset, wordnet
from cliptail_jax.errors import UserError

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "wordnet.sh"
HEADER = "  1 WordNet 3.0 Copyright 2006 by Princeton University.  \n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without WordNet, Debian or network, whose NLTK has loaded nothing yet; its `downloads` are counted."""

    class Machine:
        nltk_data = tmp_path / "nltk_data"
        debian = tmp_path / "debian"
        cache = tmp_path / "cache" / "cliptail_jax" / "wordnet"
        downloads = 0

        def download(self, *arguments, **options):
            self.downloads += 1
            return False

        def restart(self):
            """As a new process would find it."""
            module.wordnet.cache_clear()
            module.download.cache_clear()
            monkeypatch.setattr(nltk.data, "path", [str(self.nltk_data)])
            multilingual = LazyCorpusLoader("omw-1.4", WordNetCorpusReader)
            monkeypatch.setattr(nltk.corpus, "wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, multilingual))

    machine = Machine()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "DEBIAN_FOLDER", machine.debian)
    monkeypatch.setattr(nltk, "download", machine.download)
    umask = os.umask(0o022)
    machine.nltk_data.mkdir()
    machine.restart()
    yield machine
    os.umask(umask)
    module.wordnet.cache_clear()
    module.download.cache_clear()


def write_tiny_wordnet(folder):
    """The files of wordnet-base, with one synset."""
    folder.mkdir(parents=True)
    for name in module.DEBIAN_FILES:
        (folder / name).write_text("" if name.endswith((".exc", ".rev")) else HEADER)
    offset = len(HEADER)
    with open(folder / "data.noun", "a") as data:
        data.write(f"{offset:08} 05 n 02 tench 0 Tinca_tinca 0 000 | freshwater dace-like game fish  \n")
    with open(folder / "index.noun", "a") as index:
        index.write(f"tench n 1 0 1 0 {offset:08}  \n")
    return f"n{offset:08}"


def test_without_wordnet_one_line_says_the_two_ways_to_get_it(machine):
    with pytest.raises(UserError) as error:
        wordnet()
    assert "python -m nltk.downloader wordnet" in str(error.value)
    assert "wordnet-base" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failed_download_is_not_tried_again(machine):
    for _ in range(3):
        with pytest.raises(UserError):
            wordnet()
    assert machine.downloads == 1


def test_debian_files_are_used_without_a_download_and_kept_in_the_cache(machine):
    wnid = write_tiny_wordnet(machine.debian)
    assert lemmas(wnid) == ("tench", "tinca tinca")
    assert WordNetLemmatizer().lemmatize("tenches") == "tench"
    assert synset(wnid).lexname() == "noun.animal"
    machine.debian.rename(machine.debian.with_name("gone"))
    machine.restart()
    assert lemmas(wnid) == ("tench", "tinca tinca")
    assert machine.downloads == 0
    assert [path.name for path in machine.cache.parent.iterdir()] == ["wordnet"]


def test_files_in_the_cache_load_whatever_the_umask(machine):
    wnid = write_tiny_wordnet(machine.debian)
    os.umask(0o000)  # NLTK reads nothing that others may write to
    assert lemmas(wnid) == ("tench", "tinca tinca")


def test_nltk_data_come_first(machine):
    wnid = write_tiny_wordnet(machine.nltk_data / "corpora" / "wordnet")
    (machine.nltk_data / "corpora" / "wordnet" / "lexnames").write_text(lexnames())
    (machine.nltk_data / "corpora" / "wordnet" / "index.sense").touch()
    write_tiny_wordnet(machine.debian)
    assert lemmas(wnid) == ("tench", "tinca tinca")
    assert not machine.cache.exists()
    assert machine.downloads == 0


def test_nltk_downloads_it_where_nothing_else_has_it(machine, monkeypatch):
    def download(*arguments, **options):
        assert arguments == ("wordnet",)
        assert options["quiet"]
        corpus = machine.nltk_data / "corpora" / "wordnet"
        write_tiny_wordnet(corpus)
        (corpus / "lexnames").write_text(lexnames())
        (corpus / "index.sense").touch()
        return True

    monkeypatch.setattr(nltk, "download", download)
    assert [synset.name() for synset in wordnet().synsets("tench")] == ["tench.n.01"]


def test_a_silent_network_does_not_hang(machine, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(nltk, "download", lambda *arguments, **options: answer.wait(60))
    monkeypatch.setattr(module, "DOWNLOAD_SECONDS", 0.1)
    start = time.monotonic()
    with pytest.raises(UserError, match="could not be downloaded"):
        wordnet()
    assert time.monotonic() - start < 10
    answer.set()


def test_no_network_is_quiet(machine, monkeypatch, capfd):
    def unknown(*arguments, **options):
        raise socket.gaierror("no network")

    monkeypatch.setattr(nltk, "download", nltk.downloader.Downloader().download)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UserError, match="could not be downloaded"):
        wordnet()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("harm", [PermissionError("no place to write"), SyntaxError("a login page, not the index")])
def test_a_download_that_breaks_off_counts_as_none(machine, monkeypatch, harm):
    def download(*arguments, **options):
        raise harm

    monkeypatch.setattr(nltk, "download", download)
    with pytest.raises(UserError, match="could not be downloaded"):
        wordnet()


def test_incomplete_debian_files_count_as_none(machine):
    write_tiny_wordnet(machine.debian)
    (machine.debian / "data.noun").unlink()
    with pytest.raises(UserError, match="could not be downloaded"):
        wordnet()


def test_a_cache_that_cannot_be_written_is_named(machine, monkeypatch, tmp_path):
    write_tiny_wordnet(machine.debian)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="file/cliptail_jax.*XDG_CACHE_HOME"):
        wordnet()


def test_an_interrupted_copy_leaves_nothing(machine, monkeypatch):
    write_tiny_wordnet(machine.debian)
    (machine.debian / "verb.exc").unlink()
    with pytest.raises(UserError, match="verb.exc"):
        copy_debian_files(machine.debian)
    assert list(machine.cache.parent.iterdir()) == []


def test_copies_made_at_once_leave_one_whole_corpus(machine):
    wnid = write_tiny_wordnet(machine.debian)
    errors = []

    def copy():
        start.wait()
        try:
            copy_debian_files(machine.debian)
        except Exception as error:
            errors.append(error)

    start = threading.Barrier(8)
    threads = [threading.Thread(target=copy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.name for path in machine.cache.parent.iterdir()] == ["wordnet"]
    assert lemmas(wnid) == ("tench", "tinca tinca")


def test_a_damaged_wordnet_is_named(machine):
    write_tiny_wordnet(machine.nltk_data / "corpora" / "wordnet")
    with pytest.raises(UserError, match="damaged.*nltk_data/corpora/wordnet/lexnames.*remove it"):
        wordnet()


def test_lexnames_number_the_45_lexicographer_files():
    lines = lexnames().splitlines()
    assert len(lines) == 45
    assert lines[:4] == ["00\tadj.all\t3", "01\tadj.pert\t3", "02\tadv.all\t4", "03\tnoun.Tops\t1"]
    assert lines[28:30] == ["28\tnoun.time\t1", "29\tverb.body\t2"]
    assert lines[43:] == ["43\tverb.weather\t2", "44\tadj.ppl\t3"]


def test_real_wordnet_has_the_synsets_of_imagenet_ids():
    assert lemmas("n01440764") == ("tench", "tinca tinca")
    assert lemmas("n03126707") == ("crane",)
    assert synset("n02110185").name() == "siberian_husky.n.01"


def test_an_id_that_wordnet_lacks_is_the_siberian_husky():
    assert synset("n02112837") == wordnet().synsets("siberian_husky")[0]


def test_real_wordnet_lemmatizes():
    wordnet()
    words = ["geese", "dogs", "glasses", "us", "qwertys"]
    assert [WordNetLemmatizer().lemmatize(word) for word in words] == ["goose", "dog", "glass", "u", "qwertys"]


@pytest.mark.parametrize("wnid", ["n99999999", "n01440765", "n00000000"])
def test_an_unknown_id_is_an_error_without_a_warning(wnid, recwarn):
    with pytest.raises(UserError, match=wnid):
        synset(wnid)
    assert not recwarn.list


@pytest.mark.parametrize("wnid", ["", "tench", "n1440764", "v01440764", "n014407640", "n01440764\n", "n٠١٤٤٠٧٦٤"])
def test_a_malformed_id_is_an_error(wnid):
    with pytest.raises(UserError, match="not a WordNet id"):
        synset(wnid)


def run_script(tmp_path, **programs):
    """Runs scripts/wordnet.sh with these programs, as shell scripts, beside the usual small ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "mkdir", "mktemp", "rm"):
        (folder / name).symlink_to(next(path for path in (f"/bin/{name}", f"/usr/bin/{name}") if os.path.exists(path)))
    for name, script in programs.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    environment = {"PATH": str(folder), "TMPDIR": str(tmp_path)}
    return subprocess.run(["/bin/bash", "-e", SCRIPT], env=environment, capture_output=True, text=True)


NO_WORDNET_YET = 'if [ $# = 2 ]; then exit 1; else echo "copies $(<"$3/data.noun")"; fi'
DEBIAN = {"apt_get": 'if [ "$1" = download ]; then echo deb >wordnet-base_3.0_all.deb; fi'}
UNPACK = {"dpkg_deb": 'mkdir -p "$3/usr/share/wordnet"; echo "data of $(<"$2")" >"$3/usr/share/wordnet/data.noun"'}


def test_script_does_nothing_where_wordnet_is_found(tmp_path):
    done = run_script(tmp_path, python="exit 0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_script_unpacks_the_debian_package_and_tidies_up(tmp_path):
    done = run_script(tmp_path, python=NO_WORDNET_YET, **DEBIAN, **UNPACK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Fetching WordNet ...\ncopies data of deb\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_script_gets_package_lists_where_there_are_none(tmp_path):
    fetch = 'case "$*" in download*) exit 100;; *update) ;; *download*) echo deb >wordnet-base_3.0_all.deb;; esac'
    done = run_script(tmp_path, python=NO_WORDNET_YET, apt_get=fetch, **UNPACK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Fetching WordNet ...\ncopies data of deb\n", "")


def test_script_says_the_two_ways_where_there_is_no_apt(tmp_path):
    done = run_script(tmp_path, python=NO_WORDNET_YET)
    assert done.returncode == 0
    assert "nltk.downloader wordnet" in done.stderr
    assert "wordnet-base" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
