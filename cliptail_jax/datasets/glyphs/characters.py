"""The 100 characters that are the classes, and their names."""

import unicodedata

# Characters that look different enough, as tests/datasets/lookalikes.py chooses them.
CHARACTERS = "0123457ACEHKLMPRTVWXYabdefkmnqrzΞΣΦΨαβζλμνςωЖЙЧЩЪЮбл#$%&+<=>@^~§¶∆∇√∞∪≠≤⊂↓↵⇒⌂⌘■▲▼○□☀☺♀♂♠♥♪♫ԲԴԶԷԸԻԾԿՀ"
SCRIPTS = ("digit", "latin", "greek", "cyrillic", "armenian")


def class_name(character: str) -> str:
    """The Unicode name in lower case: 'greek small letter alpha'."""
    return unicodedata.name(character).lower()


def script(character: str) -> str:
    """The script that the character belongs to, or 'symbol'."""
    first_word = class_name(character).split()[0]
    return first_word if first_word in SCRIPTS else "symbol"
