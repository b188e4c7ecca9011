"""The 189 composed characters, each a base character with a mark, and the words that name their parts."""

import unicodedata

# Letters with a mark that every face has and that look different enough: no two have a correlation of more than 0.9501
# in the views of tests/datasets/lookalikes.py, drawn 28 pixels large. Several letters have each mark.
COMPOSED = (
    "ÀÇÈÌÑÒØÙÝàáâåçèéêìíîïñòôùúûýāĄąĆćĉĎďĐđēĘęĜĝĢĤĥĦħĮĴĶķĹĻĽľŁłŅņŔŕŖŗŚśŞŢţŤťŦŧŮůŲųŴŵŹźżƀƗƠƯưƵǢǣǨǩǪǫǮǯȺȻɃɌ"
    "ɍɟɨΆΈΉΊΌΎΏάέήϋώЍҒҰұӁӚӛӞӟӣӪӫӬӮӴӵӸӹḀḁḂḄḅḋḌḍḛḞḟḤḨḩḭḺḾḿṂṃṔṕṟṡṫṼṽṾẁẈẊẋẍẒẕẖẘẙụỴỵἩἰὐὙὲὼᾱᾳῃῐῚῬῳῸῼ"
)  # fmt: skip
STROKE = "stroke"


def codepoint(character: str) -> str:
    """A name without information about the parts: 'U+00E9' of 'é'."""
    return f"U+{ord(character):04X}"


def base(character: str) -> str:
    """The character without its mark: 'e' of 'é'.

    Unicode does not decompose letters with a stroke ('ø'); their base is taken from the character's name.
    """
    if decomposition := unicodedata.decomposition(character):
        return chr(int(decomposition.split()[0], 16))
    return unicodedata.lookup(unicodedata.name(character).removesuffix(f" WITH {STROKE.upper()}"))


def base_words(character: str) -> str:
    """The base's Unicode name without the script: 'small e', 'capital alpha'."""
    return unicodedata.name(base(character)).lower().partition(" ")[2].replace("letter ", "")


def mark_words(character: str) -> str:
    """The name of the combining character: 'acute' for 'é' and for 'ά', whose name has 'tonos'."""
    decomposition = unicodedata.decomposition(character).split()
    if not decomposition:
        return STROKE
    words = unicodedata.name(chr(int(decomposition[1], 16))).lower().split()
    return " ".join(word for word in words if word not in ("combining", "accent", "greek"))
