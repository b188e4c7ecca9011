"""The stages of LAIONet, by the flags of `cliptail laion`."""

import argparse
import functools

from cliptail_jax.curation.laion.match import match, select
from cliptail_jax.curation.laion.parts import run_stage
from cliptail_jax.host.errors import UserError


def run_stage_command(options: argparse.Namespace, beam_options: list[str]) -> None:
    """Run the stage that the flags of `cliptail laion` ask for; `beam_options` are Beam's own."""
    text = options.column
    if options.stage in ("similarity", "retrieve") and not options.clip:
        raise UserError(f"{options.stage} needs --clip, the work directory of a CLIP run or a published CLIP")
    if options.stage == "retrieve":
        return run_retrieval(options, beam_options)
    processes = options.processes
    if options.stage == "match":
        stage, columns = functools.partial(match, text=text), {text: "text"}
    elif options.stage == "select":
        stage = functools.partial(select, threshold=options.threshold, nsfw=options.nsfw)
        columns = {"similarity": "a number", options.nsfw: "text"}
    else:
        from cliptail_jax.curation.laion.similarity import similarity  # the others need no JAX

        stage = functools.partial(similarity, clip=options.clip, text=text)
        columns = {text: "text", "label": "a whole number"}
        processes = 1  # which uses all devices
    run_stage(stage, options.input, options.output, columns, processes, beam_options)


def run_retrieval(options: argparse.Namespace, beam_options: list[str]) -> None:
    from cliptail_jax.curation.laion.retrieve import retrieve
    from cliptail_jax.pretrained.text_embedder import load_text_embedder

    if not options.queries:
        raise UserError("retrieve needs --queries, the table of captions that `cliptail describe --export` writes")
    load = functools.partial(load_text_embedder, options.clip)
    retrieve(
        options.queries,
        options.input,
        options.column,
        load,
        options.output,
        options.neighbours,
        beam_options,
        options.overwrite,
    )
