import os
import pathlib
import shutil
import subprocess
import threading
import time
import types
import zipfile
from unittest.mock import Mock

import nltk
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader

from cliptail_jax.concepts import wordnet as module
from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.concepts.wordnet import ENDINGS, cache_folder, lemmas, lemmas_of_noun, synset, wordnet
from cliptail_jax.host.errors import UserError
from scripts import debian_wordnet
from tests.concepts import direct_concepts

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "wordnet.sh"
HEADER = "  1 WordNet 3.0 Copyright 2006 by Princeton University.  \n"
TENCH = f"n{len(HEADER):08}"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without WordNet or network; `download` takes the place of NLTK's."""
    home, share = tmp_path / "home", tmp_path / "share"
    machine = types.SimpleNamespace(nltk_data=home / "nltk_data", debian=share / "wordnet", download=Mock())
    machine.download.return_value = False
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.delenv("NLTK_DATA", raising=False)
    monkeypatch.setattr("sys.prefix", str(home / "venv"))
    monkeypatch.setattr(module, "SYSTEM_FOLDERS", (str(share),))
    monkeypatch.setattr(nltk, "download", machine.download)
    for function in (module.wordnet, module.download):
        function.cache_clear()
    yield machine
    for function in (module.wordnet, module.download):
        function.cache_clear()


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


def write_zip(path):
    """NLTK's archive, which it does not unpack."""
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in write_debian_files(path.with_suffix("")).iterdir():
            archive.write(file, f"wordnet/{file.name}")
    shutil.rmtree(path.with_suffix(""))


# Finding


def test_without_wordnet_one_line_says_the_ways_to_get_it_or_to_need_none(machine):
    ways = "python -m nltk.downloader wordnet.*Debian's package wordnet-base.*class_match.rule"
    for _ in range(3):
        with pytest.raises(UserError, match=ways) as error:
            wordnet()
    assert "\n" not in str(error.value)
    machine.download.assert_called_once()  # a failed download is not tried again


@pytest.mark.parametrize("place", ["nltk", "nltk's zip", "NLTK_DATA", "cache", "debian"])
def test_wordnet_is_found_where_nltk_and_debian_put_it_without_a_download(place, machine, tmp_path, monkeypatch):
    monkeypatch.setenv("NLTK_DATA", f"{tmp_path / 'none'}:{tmp_path / 'given'}")
    if place == "nltk's zip":
        write_zip(machine.nltk_data / "corpora" / "wordnet.zip")
    else:
        roots = {"nltk": machine.nltk_data, "NLTK_DATA": tmp_path / "given", "cache": cache_folder()}
        write_debian_files(machine.debian if place == "debian" else roots[place] / "corpora" / "wordnet")
    assert lemmas(TENCH) == ("tench", "tinca tinca")
    assert synset(TENCH).definition == "freshwater dace-like game fish"
    assert lemmas_of_noun("tenches") == ["tench"]
    machine.download.assert_not_called()


def test_nltk_downloads_wordnet_where_nothing_else_has_it(machine):
    def download(*arguments, **options):
        assert arguments == ("wordnet",)
        assert options["quiet"]
        write_zip(machine.nltk_data / "corpora" / "wordnet.zip")
        return True

    machine.download.side_effect = download
    assert wordnet().lemmas == {"tench"}


def test_a_silent_network_does_not_hang(machine, monkeypatch):
    answer = threading.Event()
    machine.download.side_effect = lambda *arguments, **options: answer.wait(60)
    monkeypatch.setattr(module, "DOWNLOAD_SECONDS", 0.1)
    start = time.monotonic()
    with pytest.raises(UserError, match="could not be downloaded"):
        wordnet()
    assert time.monotonic() - start < 10
    answer.set()


@pytest.mark.parametrize("damage", ["missing", "empty", "no archive"])
def test_a_damaged_wordnet_is_named(damage, machine):
    folder = machine.nltk_data / "corpora" / "wordnet"
    write_debian_files(folder)
    if damage == "missing":
        (folder / "data.noun").unlink()
    elif damage == "empty":
        (folder / "index.noun").write_text("")
    else:
        shutil.rmtree(folder)
        folder.with_suffix(".zip").write_bytes(b"<html>")
    with pytest.raises(UserError, match="damaged.*remove it") as error:
        wordnet()
    assert str(folder) in str(error.value)


# The real one


def test_the_nouns_are_those_that_nltk_reads():
    nltk_nouns = direct_concepts.NLTK  # loaded here: pytest reads attributes of what modules of tests import
    assert wordnet().lemmas == set(nltk_nouns.all_lemma_names("n"))
    assert wordnet().exceptions == nltk_nouns._exception_map["n"]
    assert list(ENDINGS) == nltk_nouns.MORPHOLOGICAL_SUBSTITUTIONS["n"]
    for wnid in set(imagenet_wnids()) - {"n02112837"}:
        expected = nltk_nouns.synset_from_pos_and_offset("n", int(wnid[1:]))
        assert synset(wnid) == (tuple(expected.lemma_names()), expected.definition())


def test_real_wordnet_has_the_synsets_of_imagenet_ids():
    assert lemmas("n01440764") == ("tench", "tinca tinca")
    assert lemmas("n03126707") == ("crane",)
    assert synset("n02112837") == synset("n02110185")  # WordNet 3.0 lacks the former, one of ImageNet's ids


@pytest.mark.parametrize("wnid", ["n99999999", "n00000000", "n01440765"])
def test_an_id_that_wordnet_lacks_is_an_error(wnid):
    with pytest.raises(UserError, match=wnid):
        synset(wnid)


# NLTK's form, for the tests


def test_debians_files_load_in_nltk_from_the_cache_whatever_the_umask(machine, tmp_path, monkeypatch):
    umask = os.umask(0o000)  # NLTK reads nothing that others may write to
    try:
        debian_wordnet.copy(write_debian_files(tmp_path / "debian"))
    finally:
        os.umask(umask)
    monkeypatch.setattr(nltk.data, "path", [str(cache_folder())])
    corpus = LazyCorpusLoader("wordnet", WordNetCorpusReader, LazyCorpusLoader("omw-1.4", WordNetCorpusReader))
    assert [noun.lexname() for noun in corpus.synsets("tenches")] == ["noun.animal"]


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
    process = run_script(tmp_path, python=PYTHON, apt_get=WITHOUT_LISTS, dpkg_deb=UNPACK)
    assert (process.returncode, process.stdout) == (0, "Fetching WordNet ...\ncopies data of deb\n")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
    shutil.rmtree(tmp_path / "bin")
    process = run_script(tmp_path, python=PYTHON)
    assert process.returncode == 0 and "nltk.downloader wordnet" in process.stderr
