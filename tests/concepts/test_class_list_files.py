import pytest

from cliptail_jax.concepts.vocabulary import Concept, load_vocabulary, vocabulary_names
from cliptail_jax.errors import UserError


def test_a_text_file_has_a_class_a_line(tmp_path):
    path = tmp_path / "classes.TXT"
    path.write_bytes("\ufeffgreat auk\r\ncrème brûlée\n\n".encode())
    assert load_vocabulary(str(path)) == (Concept("great auk"), Concept("crème brûlée"))
    assert vocabulary_names(str(path)) == ("great auk", "crème brûlée")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", "has no class names, one a line"),
        (b"ape\nbee\tbees\n", r"entry 2: name 'bee\\tbees' is not one line of text without tabs"),
        (b"ape\nbee\nape\n", "has the class name 'ape' 2 times"),
        (b"cr\xe8me\n", "is not UTF-8: "),
    ],
)
def test_a_text_file_that_is_no_class_list_is_an_error(tmp_path, content, message):
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(UserError, match=f"vocabulary file .*classes.txt.* {message}"):
        load_vocabulary(str(tmp_path / "classes.txt"))
