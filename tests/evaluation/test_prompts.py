import json
import subprocess
import sys

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.prompts import (
    common_words,
    descriptor_prompts,
    read_descriptors,
    template_prompts,
    waffle_prompts,
)


def test_every_name_is_in_every_template():
    assert template_prompts(("cat", "dog {x}"), ("a {}.", "the {}.")) == (
        ("a cat.", "the cat."),
        ("a dog {x}.", "the dog {x}."),
    )


def test_descriptors_follow_the_name_and_a_class_without_any_stands_alone():
    assert descriptor_prompts(("cat", "dog"), (("whiskers", "a long tail"), ())) == (
        ("cat, which has whiskers", "cat, which has a long tail"),
        ("dog",),
    )


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_descriptors_are_joined_by_normalised_name(tmp_path):
    path = write(tmp_path / "d.json", {"Sea_Lion": [" flippers "], "hot-dog": [], "unused": ["x"]})
    assert read_descriptors(path, ("hot dog", "sea lion")) == ((), ("flippers",))


@pytest.mark.parametrize(
    "content, message",
    [
        ({"cat": ["fur"]}, "lacks 2 of the classes, such as 'dog'"),
        ("{", "is not JSON"),
        (["cat"], "is not a JSON object of"),
        ({"cat": "fur"}, "the value of 'cat' is not a list of texts"),
        ({"cat": [1]}, "the value of 'cat' is not a list of texts"),
        ({"cat": [" "]}, "the value of 'cat' is not a list of texts"),
        ({"cat": [], "dog": ["a"], "Dog": ["b"], "sea lion": []}, "has the class 'dog' more than once"),
    ],
)
def test_a_wrong_descriptors_file_is_an_error_that_says_what_is_wrong(tmp_path, content, message):
    path = write(tmp_path / "d.json", content)
    with pytest.raises(UserError, match=message):
        read_descriptors(path, ("cat", "dog", "sea lion"))


def test_a_missing_descriptors_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match="none.json cannot be read: No such file"):
        read_descriptors(tmp_path / "none.json", ("cat",))


def test_random_words_are_pairs_from_the_list_and_the_same_for_every_class():
    prompts = waffle_prompts(("cat", "dog"), 5, 0, "words")
    assert [len(of_class) for of_class in prompts] == [5, 5]
    cat, dog = ([prompt.split(", which has ")[1] for prompt in of_class] for of_class in prompts)
    assert cat == dog
    assert len(set(cat)) == 5
    for descriptor in cat:
        first, second = descriptor.split(" ")
        assert first != second
        assert {first, second} <= set(common_words())


def test_random_characters_are_as_long_as_words_and_none_of_them():
    (prompts,) = waffle_prompts(("cat",), 20, 0, "characters")
    strings = [text for prompt in prompts for text in prompt.removeprefix("cat, which has ").split(" ")]
    assert len(strings) == 40
    assert all(text.isascii() and text.isalnum() for text in strings)
    assert {len(text) for text in strings} <= {len(word) for word in common_words()}
    assert len(set(strings) & set(common_words())) <= 1  # a short one may happen to be a word


def test_random_prompts_depend_on_the_seed_alone():
    kinds = ("words", "characters")
    ours = [waffle_prompts(("cat",), 4, 7, kind) for kind in kinds]
    assert not set(ours) & {waffle_prompts(("cat",), 4, 8, kind) for kind in kinds}
    call = f"[waffle_prompts(('cat',), 4, 7, kind) for kind in {kinds}]"
    program = f"from cliptail_jax.evaluation.prompts import *; print({call})"
    theirs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert theirs == f"{ours}\n"


def test_more_random_prompts_begin_with_the_fewer():
    assert waffle_prompts(("cat",), 9, 1, "words")[0][:4] == waffle_prompts(("cat",), 4, 1, "words")[0]


def test_unknown_kinds_and_no_prompts_at_all_are_errors():
    with pytest.raises(UserError, match="unknown kind of random descriptors 'letters': choose from words, characters"):
        waffle_prompts(("cat",), 4, 0, "letters")
    with pytest.raises(UserError, match="0 random descriptors per class: give 1 or more"):
        waffle_prompts(("cat",), 0, 0, "words")


def test_common_words_are_a_few_hundred_different_plain_ones():
    words = common_words()
    assert len(set(words)) == len(words) > 300
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)
