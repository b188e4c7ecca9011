import os
import pathlib
import shutil
import subprocess
import threading
import time
import types
from unittest.mock import Mock

import nltk
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader
from nltk.stem import WordNetLemmatizer

from cliptail_jax.concepts import wordnet as module
from cliptail_jax.concepts.wordnet import cache_folder, lemmas, synset, wordnet
from cliptail_jax.errors import UserError
from scripts import debian_wordnet

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "wordnet.sh"
HEADER = "  1 WordNet 3.0 Copyright 2006 by Princeton University.  \n"
TENCH = f"n{len(HEADER):08}"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without WordNet or network, whose NLTK has loaded nothing yet; `download` takes the place of NLTK's."""
    machine = types.SimpleNamespace(nltk_data=tmp_path / "nltk_data", download=Mock(return_value=False))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(nltk, "download", machine.download)
    monkeypatch.setattr(nltk.data, "path", [str(machine.nltk_data)])
    multilingual = LazyCorpusLoader("omw-1.4", WordNetCorpusReader)
    monkeypatch.setattr(nltk.corpus, "wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, multilingual))
    module.wordnet.cache_clear()
    module.download.cache_clear()
    umask = os.umask(0o022)
    machine.nltk_data.mkdir()
    yield machine
    os.umask(umask)
    module.wordnet.cache_clear()
    module.download.cache_clear()


def write_debian_files(folder):
    """The files of wordnet-base, with one synset, `TENCH`."""
    folder.mkdir(parents=True)
    for name in debian_wordnet.FILES:
        (folder / name).write_text("" if name.endswith((".exc", ".rev")) else HEADER)
    offset = TENCH[1:]
    with open(folder / "data.noun", "a", encoding="utf-8") as data:
        data.write(f"{offset} 05 n 02 tench 0 Tinca_tinca 0 000 | freshwater dace-like game fish  \n")
    with open(folder / "index.noun", "a", encoding="utf-8") as index:
        index.write(f"tench n 1 0 1 0 {offset}  \n")
    return folder


def write_corpus(folder):
    """The files as NLTK has them."""
    write_debian_files(folder)
    (folder / "lexnames").write_text(debian_wordnet.lexnames())
    (folder / "index.sense").touch()


# Finding


def test_without_wordnet_one_line_says_the_two_ways_to_get_it(machine):
    for _ in range(3):
        with pytest.raises(UserError, match="nltk.downloader wordnet.*scripts/wordnet.sh") as error:
            wordnet()
    assert "\n" not in str(error.value)
    machine.download.assert_called_once()  # a failed download is not tried again


def test_nltk_data_come_before_the_cache_and_need_no_download(machine):
    write_corpus(machine.nltk_data / "corpora" / "wordnet")
    (cache_folder() / "corpora" / "wordnet").mkdir(parents=True)
    assert lemmas(TENCH) == ("tench", "tinca tinca")
    machine.download.assert_not_called()


def test_nltk_downloads_wordnet_where_nothing_else_has_it(machine):
    def download(*arguments, **options):
        assert arguments == ("wordnet",)
        assert options["quiet"]
        write_corpus(machine.nltk_data / "corpora" / "wordnet")
        return True

    machine.download.side_effect = download
    assert [synset.name() for synset in wordnet().synsets("tench")] == ["tench.n.01"]


def test_a_silent_network_does_not_hang(machine, monkeypatch):
    answer = threading.Event()
    machine.download.side_effect = lambda *arguments, **options: answer.wait(60)
    monkeypatch.setattr(module, "DOWNLOAD_SECONDS", 0.1)
    start = time.monotonic()
    with pytest.raises(UserError, match="could not be downloaded"):
        wordnet()
    assert time.monotonic() - start < 10
    answer.set()


def test_a_damaged_wordnet_is_named(machine):
    write_debian_files(machine.nltk_data / "corpora" / "wordnet")
    with pytest.raises(UserError, match="damaged.*nltk_data/corpora/wordnet/lexnames.*remove it"):
        wordnet()


# The real one


def test_real_wordnet_has_the_synsets_of_imagenet_ids():
    assert lemmas("n01440764") == ("tench", "tinca tinca")
    assert lemmas("n03126707") == ("crane",)
    assert synset("n02110185").name() == "siberian_husky.n.01"
    assert synset("n02112837") == synset("n02110185")  # WordNet 3.0 lacks the former, one of ImageNet's ids


@pytest.mark.parametrize("wnid", ["n99999999", "n00000000"])
def test_an_unknown_id_is_an_error_without_a_warning(wnid, recwarn):
    with pytest.raises(UserError, match=wnid):
        synset(wnid)
    # Files that an earlier test has left open are closed at any time.
    assert not [str(shown.message) for shown in recwarn.list if shown.category is not ResourceWarning]


# Debian's files


def test_debians_files_load_from_the_cache_whatever_the_umask(machine, tmp_path):
    os.umask(0o000)  # NLTK reads nothing that others may write to
    debian_wordnet.copy(write_debian_files(tmp_path / "debian"))
    assert lemmas(TENCH) == ("tench", "tinca tinca")
    assert synset(TENCH).lexname() == "noun.animal"
    assert WordNetLemmatizer().lemmatize("tenches") == "tench"
    machine.download.assert_not_called()


def run_script(tmp_path, **programs):
    """Runs scripts/wordnet.sh with these programs, as shell scripts, beside the usual small ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "mkdir", "mktemp", "rm"):
        (folder / name).symlink_to(shutil.which(name))
    for name, script in programs.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    environment = {"PATH": str(folder), "TMPDIR": str(tmp_path), "VIRTUAL_ENV": "active"}
    return subprocess.run(["/bin/bash", "-e", SCRIPT], env=environment, capture_output=True, text=True)


# Can import the package, finds no WordNet with -c, and copies a folder that exists.
PYTHON = """[[ "$1 $2" = "-c import"* ]] && exit
[ "$1" != -c ] && [ "$2" != /usr/share/wordnet ] && echo "copies $(<"$2/data.noun")\""""
WITHOUT_LISTS = 'case "$*" in download*) exit 100;; *update) ;; *download*) echo deb >wordnet-base_3.0_all.deb;; esac'
UNPACK = 'mkdir -p "$3/usr/share/wordnet"; echo "data of $(<"$2")" >"$3/usr/share/wordnet/data.noun"'


def test_script_unpacks_the_debian_package_or_says_how_to_get_wordnet(tmp_path):
    done = run_script(tmp_path, python=PYTHON, apt_get=WITHOUT_LISTS, dpkg_deb=UNPACK)
    assert (done.returncode, done.stdout) == (0, "Fetching WordNet ...\ncopies data of deb\n")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
    shutil.rmtree(tmp_path / "bin")
    done = run_script(tmp_path, python=PYTHON)
    assert done.returncode == 0 and "nltk.downloader wordnet" in done.stderr
