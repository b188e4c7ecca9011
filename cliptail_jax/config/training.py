"""The fields that every training config has, and checks of their combinations.

The objectives add sections of their own. 0, '' and () mean "off" or "all" throughout.
"""

from dataclasses import dataclass
from typing import Annotated

from cliptail_jax.concepts.class_lists import LEMMAS, LONGEST, PHRASES
from cliptail_jax.config.fields import Incidental, NonNegative, OneOf, Positive, Rule, Section, Share
from cliptail_jax.config.sections import (
    FAST,
    PILLOW,
    Evaluation,
    Freeze,
    Partial,
    Precision,
    Reading,
    Templates,
)
from cliptail_jax.host.errors import UserError

IN_STEP = "step"
SHUFFLED, DISTINCT = "shuffled", "distinct"
UNIFORM, BY_FREQUENCY = "uniform", "frequency"
NATURAL, RANDOM, REVERSED = "natural", "random", "reversed"
MAX_BLUR = 2.0  # pixels: the largest radius of a multi-crop view's blur, at 224 pixels

ShareRange = Rule(
    lambda scale: len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1,
    "must be a pair of shares of the area, the smaller first, such as (0.9, 1.0)",
)

TwoOrMore = Rule(lambda keep: keep >= 2, "must be 2 or more, so that one is complete at any time")
ChannelMeans = Rule(
    lambda mean: not mean or (len(mean) == 3 and min(mean) >= 0 and max(mean) <= 1),
    "must be three numbers from 0 to 1, or none",
)
ChannelDeviations = Rule(
    lambda std: not std or (len(std) == 3 and min(std) > 0), "must be three numbers above 0, or none"
)
BlurRadius = Rule(lambda radius: 0 <= radius <= MAX_BLUR, f"must be between 0 and {MAX_BLUR} pixels")
BlocksOfStages = Rule(lambda layers: layers and min(layers) >= 1, "must give every stage one block or more")


@dataclass(frozen=True)
class Checkpoint(Section):
    every_steps: Annotated[int, "Steps between two checkpoints.", Positive] = 1000
    keep: Annotated[int, "Number of checkpoints that are kept.", TwoOrMore] = 2


@dataclass(frozen=True)
class RunEvaluation(Evaluation):
    every_epochs: Annotated[int, "Epochs between two evaluations; there is always one at the end.", Positive] = 1
    random_classes: Annotated[
        int, "Number of random classes in sets NAME:SPLIT, as in data.classes.random; 0: all.", NonNegative
    ] = 0
    without_prior: Annotated[
        bool,
        "Whether to subtract from the logits what the run's loss adds for frequent classes, its effective log-prior; unlike "
        "logit_adjustment, it needs no τ.",
    ] = False


@dataclass(frozen=True)
class ClassMatch(Section):
    classes: Annotated[
        str, "Built-in class list or file: label records by those of its classes that their words name."
    ] = ""
    rule: Annotated[
        str,
        "How words name a class, also in balancing and for an evaluation set's class frequency: 'lemmas' (the paper's rule: "
        "'two dogs' names a dog), 'phrases' (exactly as written), or 'longest' (ignores phrases inside longer ones, so that "
        "'hot dog' is not a dog if both are classes; words that still name several classes name none).",
        OneOf(LEMMAS, PHRASES, LONGEST),
    ] = LEMMAS
    unique: Annotated[bool, "Whether to leave out records that name several classes."] = False
    unmatched: Annotated[
        str, "What to do with records that name no class: 'drop' or, without a class, 'keep'.", OneOf("drop", "keep")
    ] = "drop"
    unmatched_fraction: Annotated[float, "Share of the records that name no class to keep.", Share] = 1.0


@dataclass(frozen=True)
class Classes(Section):
    """The selection of classes. At most one field is set."""

    names: Annotated[tuple[str | int, ...], "Class names or labels."] = ()
    list: Annotated[str, "The classes of a built-in class list or a file."] = ""
    first: Annotated[int, "Number of classes, the first ones.", NonNegative] = 0
    random: Annotated[int, "Number of classes, selected at random.", NonNegative] = 0
    at_least: Annotated[int, "Only the classes with at least this many records; 0: all.", NonNegative] = 0


@dataclass(frozen=True)
class Removed(Section):
    """Concepts that are removed from training. Their classes stay in the list, for zero-shot evaluation."""

    classes: Annotated[
        tuple[str, ...], "Classes whose records are removed, with all other records whose caption names them."
    ] = ()
    words: Annotated[bool, "Whether to also remove records whose caption has any word of their names."] = False


@dataclass(frozen=True)
class BalanceOptions(Section):
    cap: Annotated[int, "MetaCLIP's cap on the records of each class or entry; 0: no balancing.", NonNegative] = 0
    classes: Annotated[str, "Built-in class list or file: balance its entries in place of the classes."] = ""


@dataclass(frozen=True)
class Profile(Section):
    """Class frequencies that are imposed on the data."""

    name: Annotated[str, "Profile to impose.", OneOf("", "exponential", "zipf")] = ""
    ratio: Annotated[float, "Largest by smallest class frequency of the exponential profile.", Positive] = 100.0
    exponent: Annotated[float, "Exponent of the zipf profile.", NonNegative] = 1.0
    largest: Annotated[int, "Frequency of the most frequent class; 0: the records of the largest.", NonNegative] = 0
    order: Annotated[
        str,
        "Order of the classes, from the most frequent: 'random', or 'natural', by their numbers of records.",
        OneOf(RANDOM, NATURAL),
    ] = RANDOM
    mirrored: Annotated[bool, "Whether to reverse the order of the classes: the rarest becomes the most frequent."] = (
        False
    )
    redrawn: Annotated[
        bool,
        "Whether each epoch draws the images of a class anew from all of its records: rare classes are seen as rarely, but on "
        "as many distinct images.",
    ] = False


@dataclass(frozen=True)
class Match(Section):
    frequency: Annotated[
        str,
        "Frequency table, such as that of another variant, whose class frequencies to match; or the name of a study's table.",
    ] = ""
    n: Annotated[
        int,
        "Number of records to which the frequencies are scaled, with none above the size of the smallest class; 0: not "
        "scaled.",
        NonNegative,
    ] = 0
    assignment: Annotated[
        str,
        "Frequency of a class: its own ('natural'), a random one, or 'reversed': the rarest class has that of the most "
        "frequent.",
        OneOf(NATURAL, RANDOM, REVERSED),
    ] = NATURAL
    fill: Annotated[str, "Source 'NAME:SPLIT' with records for classes that have too few."] = ""


@dataclass(frozen=True)
class Tail(Section):
    classes: Annotated[int, "Number of the rarest classes to cut.", NonNegative] = 0
    shots: Annotated[int, "Number of records that each of them keeps.", NonNegative] = 0


@dataclass(frozen=True)
class CaptionOptions(Section):
    template: Annotated[str, "Template set with the class name, in front of the words; '': none.", Templates] = ""
    words: Annotated[tuple[str, ...], "Text fields of the source: kind_of, title, tags, description, ..."] = ()
    max_words: Annotated[
        int, "Number of words of the text fields in captions, the first ones; 0: all.", NonNegative
    ] = 0
    synset: Annotated[bool, "Whether a random lemma of the class's WordNet synset replaces the class name."] = False
    resample: Annotated[bool, "Whether template and lemma are drawn anew in each epoch."] = False
    distractors: Annotated[
        float, "Share of captions with the name of a random other class in the template; the words stay.", Share
    ] = 0.0
    distractor_sampling: Annotated[
        str,
        "Probability of the other class: 'uniform', or its 'frequency' in the variant, so that about the same share of the "
        "captions that name a class is right for all classes.",
        OneOf(UNIFORM, BY_FREQUENCY),
    ] = UNIFORM


@dataclass(frozen=True)
class LabelOptions(Section):
    noise: Annotated[
        float,
        "Share of records with another class as label in training, for objectives that train on labels: the class that a "
        "distractor in the record's caption names. Loss, class weights, priors, sampled vocabularies and batches by class use "
        "the wrong labels; selections, class frequency and evaluation the true ones.",
        Share,
    ] = 0.0
    noise_sampling: Annotated[
        str, "As data.captions.distractor_sampling, of the wrong label.", OneOf(UNIFORM, BY_FREQUENCY)
    ] = UNIFORM


@dataclass(frozen=True)
class MultiCropOptions(Section):
    """The views of DINO: two global crops of data.image_size, and local ones."""

    num_local: Annotated[int, "Number of local crops.", NonNegative] = 8
    local_size: Annotated[int, "Side of a local crop in pixels.", Positive] = 96
    local_scale: Annotated[tuple[float, ...], "Share of the area that a local crop keeps.", ShareRange] = (0.05, 0.14)
    max_blur: Annotated[float, "Largest radius of the Gaussian blur in pixels; 0: none.", BlurRadius] = 2.0


@dataclass(frozen=True)
class Selecting(Section):
    """The selection of a variant's records, labels and captions."""

    name: Annotated[str, "Name of the prepared data set."] = "glyphs"
    split: Annotated[str, "Split, or several, such as 'train+validation'."] = "train"
    class_names: Annotated[
        str, "Built-in class list or file with the class names; '': the builder's, or CLIP's for ImageNet's ids."
    ] = ""
    seed: Annotated[int, "Seed of the records, classes and captions that a variant draws.", NonNegative] = 0
    table: Annotated[
        str, "TSV or JSON lines of filepath, label and caption: the variant has these records, labels and words."
    ] = ""
    class_match: ClassMatch = ClassMatch()
    held_out: Annotated[float, "Share of each class that is left out, for validation.", Share] = 0.0
    classes: Classes = Classes()
    removed: Removed = Removed()
    min_similarity: Annotated[
        float,
        "Smallest `similarity` of a record: of text to class definition (LAIONet), of image to plainest glyph (glyphs).",
    ] = 0.0
    balance: BalanceOptions = BalanceOptions()
    profile: Profile = Profile()
    match: Match = Match()
    n: Annotated[int, "Number of records to sample; 0: all.", NonNegative] = 0
    fraction: Annotated[float, "Share of the records to sample.", Share] = 1.0
    keep_all_classes: Annotated[bool, "Whether a sample loses no class."] = False
    tail: Tail = Tail()
    captions: CaptionOptions = CaptionOptions()
    labels: LabelOptions = LabelOptions()


@dataclass(frozen=True)
class Data(Selecting, Reading):
    image_size: Annotated[int, "Side of the images in pixels; with DINO that of a global crop.", Positive] = 224
    crop_scale: Annotated[
        tuple[float, ...], "Share of the area that a random resized crop keeps; with DINO a global crop.", ShareRange
    ] = (0.9, 1.0)
    flip: Annotated[bool, "Whether to flip images at random."] = False
    shift: Annotated[int, "Largest random shift in pixels.", NonNegative] = 0
    resize: Annotated[
        str,
        "How images are resized: 'pillow', or 'fast', five times as fast, which differs by a grey level in 0.4 % of values, "
        "or 'step': training images by the training step, those of evaluation as 'fast'.",
        OneOf(PILLOW, FAST, IN_STEP),
    ] = FAST
    canvas: Annotated[
        int,
        "Side in pixels of the images that the step crops with resize='step'; longer sides are reduced to it.",
        Positive,
    ] = 384
    multi_crop: MultiCropOptions = MultiCropOptions()
    eval_resize: Annotated[
        int, "Short side of an image in evaluation, before the central crop of image_size.", Positive
    ] = 256
    eval_resize_mode: Annotated[
        str,
        "How an image becomes square in evaluation: 'shortest' (its short side is eval_resize, and it is cropped), 'longest' "
        "(padded) or 'squash'; '': as for the model of image.init, or 'shortest'.",
        OneOf("", "shortest", "longest", "squash"),
    ] = ""
    mean: Annotated[
        tuple[float, ...],
        "Mean of each color channel, of values in 0..1, to normalize images; (): that of the model of image.init, or CLIP's.",
        ChannelMeans,
    ] = ()
    std: Annotated[tuple[float, ...], "Standard deviation of each color channel, as data.mean.", ChannelDeviations] = ()
    drop_last: Annotated[bool, "Whether to drop the last, partial batch of an epoch."] = False
    balanced_sampling: Annotated[
        bool,
        "Whether an epoch uses each class equally often: repeats images of rare classes and omits some of frequent ones.",
    ] = False
    batch_classes: Annotated[int, "Number of classes in a batch, drawn anew for each; 0: any.", NonNegative] = 0
    batch_composition: Annotated[
        str,
        "Classes of a batch: 'shuffled', those of a random batch, or 'distinct', as many different ones as possible.",
        OneOf(SHUFFLED, DISTINCT),
    ] = SHUFFLED
    cache: Annotated[bool, "Whether to keep decoded images in memory, for sources of small images.", Incidental] = False


@dataclass(frozen=True)
class ImageTower(Section):
    name: Annotated[
        str, "Kind of tower in cliptail_jax.models.image_towers, or a configuration of open_clip, such as 'ViT-B-16'."
    ] = "modified_resnet"
    layers: Annotated[tuple[int, ...], "Blocks of each stage; of a ViT one number.", BlocksOfStages] = (3, 4, 6, 3)
    width: Annotated[int, "Width of the first stage, or of a ViT.", Positive] = 64
    heads: Annotated[int, "Attention heads.", Positive] = 32
    patch_size: Annotated[int, "Side of a ViT's patches in pixels.", Positive] = 32
    output_dim: Annotated[int, "Dimension of the features.", Positive] = 1024
    initialization: Annotated[
        str,
        "Initialization of a modified_resnet: CLIP's, or the default of PyTorch's layers.",
        OneOf("clip", "pytorch"),
    ] = "clip"


@dataclass(frozen=True)
class TextTower(Section):
    name: Annotated[
        str,
        "'transformer', 'bert', an encoder of cliptail_jax/models/encoders.json by its name, such as 'roberta-base', or a "
        "configuration of open_clip with a transformer, such as 'ViT-B-16-SigLIP'.",
    ] = "transformer"
    width: Annotated[int, "Width of the transformer.", Positive] = 512
    layers: Annotated[int, "Number of layers.", Positive] = 12
    heads: Annotated[int, "Attention heads.", Positive] = 8
    context_length: Annotated[int, "Length of a caption in tokens.", Positive] = 77
    vocab_size: Annotated[int, "Number of tokens."] = 49408


@dataclass(frozen=True)
class Model(Section):
    image: ImageTower = ImageTower()
    text: TextTower = TextTower()
    activation: Annotated[str, "Activation.", OneOf("gelu", "quick_gelu")] = "gelu"
    dtype: Annotated[str, "Type of the computation; parameters are always float32.", Precision] = "float32"
    remat: Annotated[
        str,
        "'blocks': the backward pass recomputes the activations of each block, with less memory and more time.",
        OneOf("none", "blocks"),
        Incidental,
    ] = "none"
    attention: Annotated[
        str,
        "'plain': transformers compute attention without the kernels for TPUs and GPUs, with more memory and another rounding.",
        OneOf("auto", "plain"),
        Incidental,  # it changes rounding, as other devices do; a run whose kernel fails is continued without it
    ] = "auto"


@dataclass(frozen=True)
class Image(Section):
    init: Annotated[str, "'random', or a published CLIP (its image tower) or the work directory of a run."] = "random"
    freeze: Freeze = False
    partial: Partial = False


@dataclass(frozen=True)
class BatchNormOptions(Section):
    group_size: Annotated[int, "Examples that share batch statistics; 0: the whole batch.", NonNegative] = 0


@dataclass(frozen=True)
class Vocabulary(Section):
    """The classes or prototypes that compete in a softmax: a section of the objectives that can sample them."""

    size: Annotated[int, "Classes or prototypes per softmax, drawn anew in each step; 0: all.", NonNegative] = 0
    sampling: Annotated[
        str, "Probability of a class: uniform, or by its frequency.", OneOf("uniform", "linear", "sqrt")
    ] = "uniform"
    group_size: Annotated[int, "Examples that share a sampled vocabulary; 0: the whole batch.", NonNegative] = 0


def check_batch_norm(batch_size: int, accumulate_steps: int, group_size: int) -> None:
    """Raise UserError if groups of `batch_norm.group_size` examples do not divide each micro-batch evenly."""
    if accumulate_steps > 1 and not group_size:
        raise UserError(
            f"batch_norm.group_size=0 normalizes over the whole batch, which accumulate_steps={accumulate_steps} splits; "
            f"set batch_norm.group_size to {batch_size // accumulate_steps} or a divisor of it"
        )
    if group_size and (batch_size // accumulate_steps) % group_size:
        parts = f" / accumulate_steps={accumulate_steps}" if accumulate_steps > 1 else ""
        raise UserError(f"batch_norm.group_size={group_size} does not divide batch_size={batch_size}{parts}")


def check_data(data: Data) -> None:
    """Raises UserError if values of the section that are valid alone cannot be combined."""
    keys = [key for key, value in vars(data.classes).items() if value]
    if len(keys) > 1:
        raise UserError(f"set one of data.classes.names, list, first, random and at_least, not {' and '.join(keys)}")
    if data.profile.redrawn and (not data.profile.name or data.captions.words):
        raise UserError(
            "data.profile.redrawn draws other images of each class in every epoch: set data.profile.name, and leave "
            "data.captions.words empty, which are those of one image"
        )
    if data.profile.name and data.match.frequency:
        raise UserError("set data.profile.name or data.match.frequency, not both")
    if not data.match.frequency and (data.match.n or data.match.assignment != NATURAL):
        raise UserError(
            "data.match.n and .assignment change the class frequencies of data.match.frequency: set it, or leave them out"
        )
    if data.class_match.unmatched_fraction < 1 and data.class_match.unmatched != "keep":
        raise UserError("data.class_match.unmatched_fraction needs data.class_match.unmatched='keep': set it")
    if data.removed.words and not data.removed.classes:
        raise UserError("data.removed.words needs data.removed.classes: list them")
    if data.profile.mirrored and not data.profile.name:
        raise UserError("data.profile.mirrored reverses the order of a profile's classes: set data.profile.name")
    if not data.profile.name and (data.profile.largest or data.profile.order != RANDOM):
        raise UserError("data.profile.largest and .order need a profile: set data.profile.name")
    if data.table and data.captions.words:
        raise UserError("data.table has the words of its records: leave data.captions.words empty")
    if data.captions.synset and not data.captions.template:
        raise UserError("data.captions.synset changes the class name in a template: set data.captions.template")
    if data.captions.distractors and not data.captions.template:
        raise UserError("data.captions.distractors changes the class name in a template: set data.captions.template")
    if data.captions.max_words and not data.captions.words:
        raise UserError("data.captions.max_words applies to text fields: name them in data.captions.words")
    if data.n and data.fraction != 1:
        raise UserError("set data.n or data.fraction, not both")
    splits = data.split.split("+")
    if repeated_splits := [name for name in splits if splits.count(name) > 1]:
        raise UserError(
            f"data.split='{data.split}' repeats '{repeated_splits[0]}': each of its records would count twice"
        )
    if data.batch_classes and data.batch_composition != SHUFFLED:
        raise UserError(f"set data.batch_classes or data.batch_composition='{data.batch_composition}', not both")
    if not data.fraction > 0:
        raise UserError("data.fraction=0 leaves no record")
    if data.shift >= data.image_size:
        raise UserError(f"data.shift={data.shift} must be smaller than data.image_size={data.image_size}")
    if data.resize == IN_STEP and data.shift:
        raise UserError("data.shift is for images that are not cropped in the step: set data.resize='fast'")
    if data.resize == IN_STEP and data.canvas < data.image_size:
        raise UserError(
            f"data.canvas={data.canvas} is smaller than data.image_size={data.image_size}: set it to {data.image_size} or more"
        )
    if data.eval_resize < data.image_size:
        raise UserError(f"data.eval_resize={data.eval_resize} is smaller than data.image_size={data.image_size}")
