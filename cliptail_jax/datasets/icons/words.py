"""Turns designers' names of drawings into captions: 'arrow-up-circle-24-filled' is an 'arrow up circle'."""

import collections
import re
from collections.abc import Collection, Iterable, Mapping

ANYWHERE, LAST, USUALLY_LAST, USUALLY_FIRST = "anywhere", "last", "usually last", "usually first"
USUAL_SHARE = 0.02

# The parts of a name that are not words of its caption, and why. Each is a regular expression for one or several words of
# the name, with hyphens between them.
#
# ANYWHERE: always. LAST: at the end. USUALLY_LAST and USUALLY_FIRST: if they end, or begin, at least 2 % of the names of the
# set. At the end, the set must also have the rest of the name more than once, alone or with another such word: 'lamp light'
# of a set with 'lamp bold' is a lamp, and its 'traffic light' stays a traffic light. A word that is the whole name stays.
RULES = (
    (ANYWHERE, r"\d+(px)?|\d+x\d+", "a size in pixels, the number of a variant, or of things"),
    (ANYWHERE, r"outlined?|filled|duotone|twotone|two-tone", "how shapes are filled; no thing is called so"),
    (ANYWHERE, r"((medium-)?(light|dark)|medium)-skin-tone", "emojis in other colours"),
    (LAST, r"alt|variant|v", "another drawing of the same"),
    (USUALLY_LAST, r"fill|solid|line|linear|broken|duo|o|f", "how shapes are filled (also: paint fill, line chart)"),
    (USUALLY_LAST, r"thin|light|regular|bold|small|medium", "how thick lines are (also: traffic light, text bold)"),
    (USUALLY_LAST, r"rounded|round|sharp", "how corners are drawn"),
    (USUALLY_LAST, r"light|dark|medium(-light|-dark)?|flat|remix|negative|background|print|colou?r", "colours"),
    (USUALLY_LAST, r"alerted|badged|expressive|active|loop", "states, of all drawings of a set"),
    (USUALLY_LAST, r"one|two|three|four|five", "numbers of variants, as words (also: number one)"),
    (USUALLY_FIRST, r"baseline|round|sharp", "the five styles of Google's icons"),
    (USUALLY_FIRST, r"bxs|ios|md|i|file-type|folder-type", "parts of a set that has several"),
)
NUMBERED = re.compile(r"([a-z]{3,})\d+")  # 'star2' is the second star; 'mp3' and 'h1' are no variants


def _pattern(position: str) -> re.Pattern:
    return re.compile("|".join(f"(?:{pattern})" for place, pattern, _ in RULES if place == position))


IS_STYLE, ENDS, ENDS_USUALLY, BEGINS_USUALLY = map(_pattern, (ANYWHERE, LAST, USUALLY_LAST, USUALLY_FIRST))
MAX_WORDS = 4  # in a match of a rule: 'medium light skin tone'


def captions_of(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The words and the style words of each name of a set, by name; either may be ''.

    'cloud-rain-2-bold' gives ('cloud rain', 'bold 2'): style words are in the order of their removal.
    """
    words, styles = {}, {}
    for name in names:
        parts, style = without_style(name.split("-"))
        words[name], styles[name] = parts, style
    is_changed = True
    while is_changed:
        words, is_changed = without_usual(words, styles)
    return {
        name: (" ".join(parts) if re.search("[^\\W\\d_]", "".join(parts)) else "", " ".join(styles[name]))
        for name, parts in words.items()
    }


def distinct(captions: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """The distinct captions of a set, each from the first name with the fewest style words."""
    best_names = {}
    for name, (words, style) in captions.items():
        if words and (words not in best_names or len(style.split()) < len(captions[best_names[words]][1].split())):
            best_names[words] = name
    return {name: captions[name] for name in best_names.values()}


def without_style(parts: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """A name's words without style words, and the words that are style anywhere or at the end."""
    words, style, place = [], [], 0
    while place < len(parts):
        for length in range(MAX_WORDS, 0, -1):
            if IS_STYLE.fullmatch("-".join(parts[place : place + length])) and place + length <= len(parts):
                style += parts[place : place + length]
                place += length
                break
        else:
            match = NUMBERED.fullmatch(parts[place])
            words.append(match[1] if match else parts[place])
            style += [parts[place].removeprefix(match[1])] if match else []
            place += 1
    while len(words) > 1 and ENDS.fullmatch(words[-1]):
        style.append(words.pop())
    if not words:  # the name is a style word, such as 'outline', or a number
        words, style = [word for word in style if word.isalpha()], [word for word in style if not word.isalpha()]
    return tuple(filter(None, words)), style


def without_usual(
    words: dict[str, tuple[str, ...]], styles: dict[str, list[str]]
) -> tuple[dict[str, tuple[str, ...]], bool]:
    """Moves one usual style word of each name to `styles`; returns the names, and whether any word was moved."""
    distinct_names = set(words.values())
    endings = usual_affixes((ending(parts) for parts in words.values()), len(words))
    beginnings = usual_affixes((beginning(parts) for parts in words.values()), len(words))
    stems = collections.Counter(distinct_names)
    stems.update(parts[: -len(last)] for parts in distinct_names if (last := ending(parts)) in endings)
    shorter_names, is_changed = {}, False
    for name, parts in words.items():
        if (first := beginning(parts)) in beginnings:
            styles[name] += first
            parts, is_changed = parts[len(first) :], True
        elif (last := ending(parts)) in endings and stems[parts[: -len(last)]] > 1:
            styles[name] += last
            parts, is_changed = parts[: -len(last)], True
        shorter_names[name] = parts
    return shorter_names, is_changed


def usual_affixes(affixes: Iterable[tuple[str, ...]], names: int) -> Collection[tuple[str, ...]]:
    """The affixes of at least 2 % of the names."""
    counts = collections.Counter(affixes)
    return {affix for affix, count in counts.items() if affix and count >= USUAL_SHARE * names}


def ending(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The words at the end of a name that may be its style; () if there are none, or if nothing would be left."""
    return next((parts[-n:] for n in (2, 1) if len(parts) > n and ENDS_USUALLY.fullmatch("-".join(parts[-n:]))), ())


def beginning(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The words at the beginning of a name that may be its style, likewise."""
    return next((parts[:n] for n in (2, 1) if len(parts) > n and BEGINS_USUALLY.fullmatch("-".join(parts[:n]))), ())
