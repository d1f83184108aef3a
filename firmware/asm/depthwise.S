// Convolutions with one filter per channel, on the vector unit.
    .include "parts.inc"

    // a7 gap of the rows of taps, a8 gap of the weights, a9 rows left, a12 taps of a row, a13 weights,
    // a14 step of the taps; a10 elements, a11 weights.
    .macro depthwise_kernel name, bits, aligned
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    enter
    l32i    a12, a2, RUN_VECTORS
    l32i    a7, a2, RUN_X_PIECE
    l32i    a8, a2, RUN_W_GAP
    l32i    a13, a2, RUN_WEIGHTS
    l32i    a14, a2, RUN_X_TAP
    mull    a10, a12, a14
    // A vector of weights is loaded ahead.
    addi    a8, a8, -16
    sub     a7, a7, a10
    enter_taps \aligned
    enter_bounds
    l32i    a4, a2, RUN_PIXELS
1:  start_lanes 32
    l32i    a9, a2, RUN_PIECES
    mov     a10, a3
    mov     a11, a13
    beqz    a9, 4f
2:  ee.vld.128.ip q0, a11, 16
    addi    a9, a9, -1
    taps    \bits, \aligned
    add     a10, a10, a7
    add     a11, a11, a8
    bnez    a9, 2b
4:  drain_kept \bits
    store_and_next \bits, 1b, 1b
    .endm

    // From the step of the taps in a14 to what `taps` takes for it.
    .macro enter_taps aligned
    .if \aligned == 0
    addi    a14, a14, -16
    .endif
    .endm

    // a12 taps: elements at a10, weights at a11, of which the first are in q0.
    .macro taps bits, aligned
    loopnez a12, 3f
    .if \aligned
    ee.vld.128.xp q2, a10, a14
    lanes_load \bits, 0, 11, 2, 0
    .else
    ee.ld.128.usar.ip q2, a10, 16
    ee.vld.128.xp q3, a10, a14
    ee.src.q q4, q2, q3
    lanes_load \bits, 0, 11, 4, 0
    .endif
3:
    .endm

    depthwise_kernel depthwise_aligned_i8, 8, 1
    depthwise_kernel depthwise_aligned_i16, 16, 1
    depthwise_kernel depthwise_unaligned_i8, 8, 0
    depthwise_kernel depthwise_unaligned_i16, 16, 0

    // As above, with lanes that are split: a7 rows before the next split, a13 end of the list.
    .section .text.iram.depthwise_split,"ax"
    .literal .Ldepthwise_split_rest, fixpoint_rest_masks
    .global fixpoint_depthwise_split
    .p2align 2
fixpoint_depthwise_split:
    enter
    enter_splits depthwise_split
    l32i    a12, a2, RUN_VECTORS
    l32i    a14, a2, RUN_X_TAP
    l32i    a4, a2, RUN_PIXELS
    enter_taps 0
1:  start_lanes 0
    start_splits
    l32i    a9, a2, RUN_PIECES
    l32i    a11, a2, RUN_WEIGHTS
    mov     a15, a3
    beqz    a9, 5f
2:  beqz    a7, 6f
4:  addi    a7, a7, -1
    mov     a10, a15
    ee.vld.128.ip q0, a11, 16
    addi    a9, a9, -1
    taps    8, 0
    l32i    a6, a2, RUN_X_PIECE
    l32i    a8, a2, RUN_W_GAP
    addi    a11, a11, -16
    add     a15, a15, a6
    add     a11, a11, a8
    bnez    a9, 2b
5:  join_lanes
    movi    a0, 1
    drain   8, 0
    store_and_next 8, 1b, 1b
    long_join
6:  split_lanes 0
    l32i    a7, a2, RUN_PART_PIECES
    j       4b
