"""The 100 characters that are the classes, and what they are called."""

import unicodedata

# What `lookalikes.choose_characters(100)` finds; written in so that the classes don't hang on a version of FreeType.
CHARACTERS = "0123457ACEHKLMPRTVWXYabdefkmnqrzΞΣΦΨαβζλμνςωЖЙЧЩЪЮбл#$%&+<=>@^~§¶∆∇√∞∪≠≤⊂↓↵⇒⌂⌘■▲▼○□☀☺♀♂♠♥♪♫ԲԴԶԷԸԻԾԿՀ"
SCRIPTS = ("digit", "latin", "greek", "cyrillic", "armenian")


def title(character: str) -> str:
    """The Unicode name: 'GREEK SMALL LETTER ALPHA'."""
    return unicodedata.name(character)


def class_name(character: str) -> str:
    """The Unicode name in lower case: 'greek small letter alpha'."""
    return title(character).lower()


def script(character: str) -> str:
    """The script that the character belongs to, or 'symbol'."""
    first_word = class_name(character).split()[0]
    return first_word if first_word in SCRIPTS else "symbol"
