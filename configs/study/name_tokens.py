"""Does a tokenizer that splits the names of rare classes make CLIP biased against them, where nothing else goes with frequency?

    cliptail study name_tokens --workdir=runs/name_tokens

Run it in the folder that contains configs. On two CPU cores, it takes 35 minutes. The recipe is that of configs/study/mechanism.py on
glyphs, with CLIP on class names and 20 epochs. Names are one, three or six letters that mean nothing (configs/study/names, drawn by
analyses/coded_names.py). A tokenizer of bytes makes each letter a token:

    whole           a tokenizer with a token for each name; names as in `balanced`
    balanced        one, three and six tokens, whatever the class frequency
    rare_split      one token for the most frequent third, three, and six for the rarest
    frequent_split  six tokens for the most frequent third, three, and one for the rarest

Stated before the runs: `rare_split` is more biased than `balanced`, and `frequent_split` less; `balanced` is as biased as `whole`.
On icons, splitting rare names raised the bias of CLIP on all pairs by 1.15, on captions by 0.3, and on class names not measurably
(configs/study/captions.md). If characters are as icons, the differences are too small for the margin of 0.2.

Both directions of one order of the classes, with seed 6 and 7 for the initial weights and the order of the batches.

An earlier study, with 7 epochs and seeds 4 and 5, is not used: its runs had not converged (the same kind ended with a top-1 of 44 and
58 %, or 47 and 67 %, as the loss began to fall sooner or later), and with seed 5 the classes had another order than the names. It
compared `rare_split` and `frequent_split` with `whole`, from which they differ in two settings; now each claim is on one setting.
"""

from cliptail_jax.experiments import arguments, studies

SOURCE = studies.LONG_TAILED["glyphs"]
EPOCHS = 20
FIRST_SEED = 6
NAMES_FOLDER = "configs/study/names"
BYTES_ONLY = 514  # the bytes, also at the end of a word, and two marks
# By kind: the names, also those for the mirrored order, and the size of the vocabulary.
KINDS = {
    "whole": ("balanced", "balanced", 2048),
    "balanced": ("balanced", "balanced", BYTES_ONLY),
    "rare_split": ("longer", "shorter", BYTES_ONLY),
    "frequent_split": ("shorter", "longer", BYTES_ONLY),
}
NAMES = {
    "whole": "each name one token",
    "balanced": "one, three and six tokens in all thirds",
    "rare_split": "up to six tokens for rare classes",
    "frequent_split": "up to six tokens for frequent classes",
}
# The claim, the run with the higher and the run with the lower bias.
CLAIMS = {
    "rare": ("Splitting the names of rare classes raises CLIP's bias", "rare_split", "balanced"),
    "frequent": ("Splitting the names of frequent classes lowers CLIP's bias", "balanced", "frequent_split"),
}
EQUAL = {"balanced": ("Splitting names in all thirds leaves CLIP as biased", "balanced", "whole")}
MIRRORED = {"": "", "_mirrored": ", mirrored"}


def get_config(arg: str = ""):
    arguments.read_only(arg)
    runs, claims, names = {}, {}, {}
    for place, (ending, note) in enumerate(MIRRORED.items()):
        for kind, (*files, vocab_size) in KINDS.items():
            config = studies.from_sl_to_clip(SOURCE["preset"], SOURCE["learning_rate"])["clip"]
            config.total_epochs = config.eval.every_epochs = EPOCHS
            config.data.drop_last = True
            config.data.profile.mirrored = bool(ending)
            config.data.class_names = f"{NAMES_FOLDER}/{files[place]}.txt"
            config.model.text.vocab_size = vocab_size
            runs[kind + ending] = config
            names[kind + ending] = NAMES[kind] + note
        for equal, pairs in ((False, CLAIMS), (True, EQUAL)):
            mirrored_pairs = {
                key + ending: (text + note, higher + ending, lower + ending)
                for key, (text, higher, lower) in pairs.items()
            }
            claims |= studies.claims_on(("odds_acc",), mirrored_pairs, equal=equal)
    fields = dict(seeds=2, names=names)
    config = studies.study("Tokens of class names on glyphs", runs, claims, FIRST_SEED, **fields)
    for run in config.runs.values():
        with run.data.unlocked():
            del run.data.seed  # a reference to the study's seed, which would change with it
            run.data.seed = SOURCE["first_seed"]  # the order of the classes to which the names belong
    return config
