"""What programs move, counted by hand on short ones."""

from cliptail_jax.planning.bounds import interconnect_seconds
from cliptail_jax.planning.hlo import Traffic, bytes_of, collectives, hbm_traffic, module
from cliptail_jax.planning.topologies import find_topology

PROGRAM = """HloModule step, is_scheduled=true

%hidden.1 (p.1: f32[2,4]) -> f32[8,4] {
  %p.1 = f32[2,4]{1,0:T(8,128)} parameter(0)
  ROOT %all-gather.2 = f32[8,4]{1,0:T(8,128)S(1)} all-gather(%p.1), channel_id=1, dimensions={0}
}

%body.1 (b.1: (f32[4])) -> (f32[4]) {
  %b.1 = (f32[4]{0}) parameter(0)
  %element = f32[4]{0} get-tuple-element(%b.1), index=0
  %doubled = f32[4]{0} add(%element, %element)
  ROOT %back = (f32[4]{0}) tuple(%doubled)
}

ENTRY %main.1 (a.1: f32[2,4], w.1: bf16[100]) -> f32[4] {
  %a.1 = f32[2,4]{1,0:T(8,128)} parameter(0)
  %w.1 = bf16[100]{0:T(256)(128)(2,1)} parameter(1), sharding={replicated}
  %all-gather.1 = f32[8,4]{1,0:T(8,128)S(1)} all-gather(%a.1), channel_id=1, dimensions={0}
  %all-reduce.1 = (f32[4]{0}, f32[6]{0}) all-reduce(%x, %y), channel_id=2, to_apply=%add
  %reduce-scatter.1 = f32[2,4]{1,0} reduce-scatter(%all-gather.1), channel_id=3, to_apply=%add
  %gather-start = (bf16[100]{0}, bf16[400]{0}) all-gather-start(%w.1), channel_id=4, dimensions={0}
  %gather-done = bf16[400]{0} all-gather-done(%gather-start)
  %copy-start.1 = (bf16[100]{0:S(1)}, bf16[100]{0}, u32[]{:S(2)}) copy-start(%w.1)
  %copy-done.1 = bf16[100]{0:S(1)} copy-done(%copy-start.1)
  %slice-start.1 = ((f32[2,4]{1,0}), f32[1,4]{1,0:S(1)}, s32[]{:S(2)}) slice-start(%a.1), slice={[0:1], [0:4]}
  %looped = (f32[4]{0}) while(%t.1), condition=%c.1, body=%body.1, backend_config={"known_trip_count":{"n":"3"}}
  ROOT %result = f32[4]{0} get-tuple-element(%looped), index=0
}
"""


def test_a_collective_counts_once_however_often_its_channel_stands_in_the_program():
    assert collectives(module(PROGRAM)) == {
        "all-reduce": Traffic(1, 4 * (4 + 6)),
        "all-gather": Traffic(2, 4 * 32 + 2 * 400),
        "reduce-scatter": Traffic(1, 4 * 32),
    }


def moved_bytes(text: str, cache: int = 0) -> int:
    return sum(moved for _, moved in hbm_traffic(module(text), cache))


def test_arrays_on_the_chip_are_not_hbm_traffic():
    gathered = 4 * 8  # only its operand lies in HBM
    reduced = 4 * (4 + 6)
    scattered = 4 * 8
    started = 2 * (100 + 100 + 400)
    copied, sliced, looped = 2 * 100, 4 * 4, 3 * 4 * (4 + 4 + 4)
    assert moved_bytes(PROGRAM) == gathered + reduced + scattered + started + copied + sliced + looped


def test_types_have_the_bytes_of_their_arrays():
    assert bytes_of("(bf16[3,5]{1,0:T(8,128)(2,1)}, pred[7]{0}, f32[]{:T(128)}, u32[2]{0:S(1)})") == 30 + 7 + 4 + 8
    assert bytes_of("(bf16[3,5]{1,0}, u32[2]{0:T(128)S(1)})", in_hbm=True) == 30


def test_a_ring_sends_a_reduced_array_twice_and_a_gathered_one_once():
    chips = find_topology("v5e-8")
    seconds = lambda kind, topology: interconnect_seconds({kind: Traffic(1, 10**9)}, topology)  # noqa: E731
    assert seconds("all-gather", chips) == 10**9 * 7 / 8 / 200e9
    assert seconds("all-reduce", chips) == 2 * seconds("all-gather", chips)
    assert seconds("all-reduce", find_topology("v5e-1")) == 0
    two_slices = seconds("all-gather", find_topology("v5e-8", slices=2))
    assert two_slices == seconds("all-gather", chips) + 10**9 / 2 / (8 * 3.125e9)


HIDDEN = """HloModule step, is_scheduled=true

%first (p.1: f32[2,4]) -> f32[8,4] {
  %p.1 = f32[2,4]{1,0} parameter(0)
  ROOT %all-gather.1 = f32[8,4]{1,0} all-gather(%p.1), channel_id=1, dimensions={0}
}

%second (p.2: f32[2,4]) -> f32[8,4] {
  %p.2 = f32[2,4]{1,0} parameter(0)
  ROOT %all-gather.2 = f32[8,4]{1,0} all-gather(%p.2), channel_id=1, dimensions={0}
}

ENTRY %main.1 (a.1: f32[2,4], b.1: f32[16]) -> f32[16] {
  %a.1 = f32[2,4]{1,0} parameter(0)
  %b.1 = f32[16]{0} parameter(1)
  %buffer = f32[8,4]{1,0} custom-call(), custom_call_target="AllocateBuffer"
  %fusion.1 = (f32[16]{0}, f32[2,4]{1,0}, f32[8,4]{1,0}) fusion(%b.1, %a.1, %buffer), kind=kOutput, calls=%first
  %part = f32[16]{0} get-tuple-element(%fusion.1), index=0
  %fusion.2 = (f32[16]{0}, f32[2,4]{1,0}, f32[8,4]{1,0}) fusion(%part, %a.1, %buffer), kind=kOutput, calls=%second
  ROOT %result = f32[16]{0} get-tuple-element(%fusion.2), index=0
}
"""


def test_a_gathered_buffer_that_fusions_hand_on_is_moved_once():
    buffer, other_arrays, gathered = 4 * 32, 2 * 4 * 16, 2 * 4 * (8 + 32)
    assert moved_bytes(HIDDEN) == buffer + 2 * other_arrays + gathered
    assert collectives(module(HIDDEN)) == {"all-gather": Traffic(1, 4 * 32)}


def test_collectives_in_a_loop_count_each_time():
    text = PROGRAM.replace(
        "  %doubled =", "  %shared = f32[4]{0} all-reduce(%element), channel_id=9, to_apply=%add\n  %doubled ="
    )
    once, looped = collectives(module(PROGRAM))["all-reduce"], collectives(module(text))["all-reduce"]
    assert looped == Traffic(once.count + 3, once.bytes + 3 * 16)


CACHED = """HloModule step, is_scheduled=true

ENTRY %main.1 (weight.1: f32[100], input.1: u8[4001], frozen.1: f32[50], unread.1: f32[70]) -> (f32[100], f32[50], f32[1001]) {
  %weight.1 = f32[100]{0} parameter(0)
  %input.1 = u8[4001]{0} parameter(1)
  %frozen.1 = f32[50]{0} parameter(2)
  %unread.1 = f32[70]{0} parameter(3)
  %converted = bf16[100]{0} convert(%weight.1)
  %fits = f32[1000]{0} fusion(%converted, %input.1, %frozen.1), kind=kLoop, calls=%f.1
  %above = f32[1001]{0} fusion(%fits, %converted), kind=kLoop, calls=%f.2
  %multiplied = (f32[1000]{0}, s8[33554432]{0}) custom-call(%above, %fits), custom_call_target="__cublas$gemm"
  %product = f32[1000]{0} get-tuple-element(%multiplied), index=0
  %updated = f32[100]{0} fusion(%weight.1, %product, %above), kind=kLoop, calls=%f.3
  ROOT %results = (f32[100]{0}, f32[50]{0}, f32[1001]{0}) tuple(%updated, %frozen.1, %above)
}
"""


def test_arrays_that_fit_in_a_cache_move_only_as_parameters_and_results():
    """The cache has 4,000 bytes: f32[1000] fits, f32[1001] and u8[4001] do not."""
    weight, frozen, input, large = 400, 200, 4001, 4004
    # The weight is read and written once, and the frozen weight read; `large` is written, and read twice.
    assert moved_bytes(CACHED, cache=4000) == (weight + weight) + frozen + input + (large + 2 * large)
    converted, fits = 200, 4000
    sizes = [
        weight + converted,
        converted + input + frozen + fits,
        fits + converted + large,
        large + fits + fits,
        weight + fits + large + weight,
    ]
    assert moved_bytes(CACHED) == sum(sizes)
    assert moved_bytes(CACHED, cache=10**6) == (weight + weight) + frozen + input + large  # for everything: each once


GATHERED = """HloModule step, is_scheduled=true

%rows (p.0: f32[1000,10], p.1: s32[7]) -> bf16[7,10] {
  %p.0 = f32[1000,10]{1,0} parameter(0)
  %p.1 = s32[7]{0} parameter(1)
  %converted = bf16[1000,10]{1,0} convert(%p.0)
  ROOT %gather.1 = bf16[7,10]{1,0} gather(%converted, %p.1), offset_dims={1}, slice_sizes={1,10}
}

ENTRY %main.1 (embedding.1: f32[1000,10], words.1: s32[7]) -> bf16[7,10] {
  %embedding.1 = f32[1000,10]{1,0} parameter(0)
  %words.1 = s32[7]{0} parameter(1)
  ROOT %fusion.1 = bf16[7,10]{1,0} fusion(%embedding.1, %words.1), kind=kLoop, calls=%rows
}
"""


def test_of_an_array_larger_than_the_cache_only_the_rows_that_are_gathered_count():
    rows, words, result = 2 * 70, 4 * 7, 2 * 70
    assert moved_bytes(GATHERED, cache=4000) == rows + words + result
    assert moved_bytes(GATHERED.replace("gather(", "reduce("), cache=4000) == 4 * 10000 + words + result
