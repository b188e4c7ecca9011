"""Do captions that name frequent classes have more further words? Where they do, images may show more than their class.

    python configs/study/analyses/caption_words.py --captions=captions.tsv imagenet1k cifar100

Arguments are class lists, as `cliptail count` takes them. A caption names a class by the rule of `cliptail count`. *Further words* are
the distinct lemmas of the caption that neither name the class nor are function words. Classes that fewer than 10 captions name are left
out. Prints the mean number of further words per caption by thirds of the classes, from frequent to rare, and its rank correlation with
the number of captions.
"""

import argparse
import collections
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from cliptail_jax.concepts.captions import find_parts, read_part
from cliptail_jax.concepts.class_lists import load_class_list
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.words import lemmas_of, phrases_of
from cliptail_jax.host.errors import command_line
from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.report.layout import markdown, text_table

COLUMNS = ("class list", "classes", "captions per class", "further words", "correlation")
MIN_CAPTIONS = 10
FUNCTION_WORDS = lemmas_of(
    "a about above across after against all along also among an and another any are around as at away back be because "
    "been before behind being below beside between both but by can could did do does down during each for from front "
    "get has have having he her his how i if in inside into is it its just like many more near next not of off on one "
    "onto or other out outside over several she so some such than that the their them then there these they this "
    "those through to together top toward towards two three four five under up upon very was we were what when where "
    "which while who whose will with without you your"
)


def further_words(captions: Sequence[str], class_list: str) -> Mapping[int, list[int]]:
    """The number of further words of each caption that names a class, by class."""
    concepts = load_class_list(class_list)
    phrases = [phrases_of(concept) for concept in concepts]
    lemmas = [lemmas_of(caption) for caption in captions]
    numbers = collections.defaultdict(list)
    for caption, label in zip(*ConceptCounter(concepts).matches(captions)):
        naming_words = frozenset().union(*(phrase for phrase in phrases[label] if phrase <= lemmas[caption]))
        numbers[label].append(len(lemmas[caption] - naming_words - FUNCTION_WORDS))
    return numbers


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("class_lists", nargs="+", metavar="CLASS_LIST")
    parser.add_argument("--captions", required=True, help="files of captions, as `cliptail count` takes them")
    options = parser.parse_args(arguments)
    captions = [
        (caption or b"").decode(errors="replace")
        for path in find_parts(options.captions)
        for batch in read_part(path)
        for caption in batch.to_pylist()
    ]
    rows = []
    for class_list in options.class_lists:
        by_class = [numbers for numbers in further_words(captions, class_list).values() if len(numbers) >= MIN_CAPTIONS]
        frequency = np.array([len(numbers) for numbers in by_class])
        means = np.array([np.mean(numbers) for numbers in by_class])
        thirds = head_mid_tail(frequency)
        row = [
            ", ".join(f"{np.median(frequency[classes]):.0f}" for classes in thirds),
            ", ".join(f"{means[classes].mean():.2f}" for classes in thirds),
            f"{rank_correlation(means, frequency):.2f}",
        ]
        rows.append([class_list, str(len(by_class)), *row])
    print("\n".join(markdown(text_table(COLUMNS, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
