// Depthwise convolutions over rows of five taps (`Kernel::DepthwiseFives` in crates/vector).
    .include "parts.inc"

    // fixpoint_begin_rows: to the first row of windows of the first block.
    // fixpoint_next_rows: to the next row, or to the first of the next block; behind the last, or in front of one that can't
    // be done, this leaves the kernel.
    //
    // Both leave what the loop below takes: the weights of the windows' last row of taps in q0 to q4, where those before
    // them begin in a13, and in a10 how many rows they are. From the next row of a block it is to where the block began
    // that they return, which is the loop, too.
    .section .text.iram.rows,"ax"
    .global fixpoint_begin_rows
    .global fixpoint_next_rows
    .p2align 2
fixpoint_begin_rows:
    s32i    a0, a1, RETURN
    l32i    a6, a2, RUN_STAGING
    call0   fixpoint_staged
    l32i    a6, a2, RUN_RECORD
    l32i    a5, a2, RUN_Y
    addi    a4, a6, -HEADER
    s32i    a6, a1, RECORD
    l8ui    a8, a4, 0
    l8ui    a4, a4, 1
    l32i    a15, a2, RUN_Y_STEP
    l32i    a6, a2, RUN_HEAD
    s32i    a4, a1, MORE
    // The second half of a vector is stored first: what there is of it in the last block is overwritten then.
    movi    a7, 0
    extui   a8, a8, 0, 7
    bltui   a6, 16, 1f
    movi    a7, -8
    addi    a5, a5, 8
    addi    a15, a15, 8
1:  l32i    a6, a2, RUN_X_GROUP
    l32i    a3, a2, RUN_X
    l32i    a4, a2, RUN_ROWS
    movi    a9, 1
    s32i    a6, a1, TOP
    s32i    a3, a1, TOP_AT
3:  s32i    a4, a1, ROWS_LEFT
    // The rows of taps that are inside, from the first of them on.
    l32i    a11, a1, TOP
    l32i    a10, a2, RUN_W_GROUP
    l32i    a4, a2, RUN_PIECES
    sub     a10, a10, a11
    bge     a4, a10, 4f
    mov     a10, a4
4:  l32i    a3, a1, TOP_AT
    l32i    a14, a2, RUN_X_PIECE
    l32i    a13, a2, RUN_WEIGHTS
    movi    a6, 80
    bgez    a11, 5f
    add     a10, a10, a11
    mull    a4, a11, a14
    sub     a3, a3, a4
    mull    a4, a11, a6
    sub     a13, a13, a4
5:  mull    a4, a10, a6
    addi    a10, a10, -1
    add     a4, a4, a13
    addi    a4, a4, -80
    .irp n, 0, 1, 2, 3, 4
    ee.vld.128.ip q\n, a4, 16
    .endr
    // Where the next row of windows is.
    l32i    a4, a2, RUN_GROUPS
    l32i    a12, a1, TOP_AT
    add     a11, a11, a4
    mull    a4, a4, a14
    s32i    a11, a1, TOP
    add     a12, a12, a4
    s32i    a12, a1, TOP_AT
    // From the last tap of a row to the next row, and of the last row to the next pixel.
    addi    a12, a6, -16
    l32i    a4, a2, RUN_X_STEP
    mull    a11, a10, a14
    sub     a4, a4, a12
    sub     a12, a14, a12
    sub     a14, a4, a11
    l32i    a4, a2, RUN_PIXELS
    l32i    a11, a1, RETURN
    l32i    a0, a1, MORE
    jx      a11
9:  leave
    .p2align 2
fixpoint_next_rows:
    l32i    a4, a1, ROWS_LEFT
    l32i    a6, a2, RUN_Y_GAP
    addi    a4, a4, -1
    add     a5, a5, a6
    bnez    a4, 3b
    l32i    a3, a2, RUN_BLOCKS
    addi    a3, a3, -1
    s32i    a3, a2, RUN_BLOCKS
    beqz    a3, 9b
    l32i    a6, a2, RUN_RECORD
    l32i    a7, a2, RUN_RECORD_STEP
    add     a6, a6, a7
    // Its header is in front of it: the first shift, how many follow, and bytes that are 0 if lanes aren't split.
    addi    a7, a6, -HEADER
    l32i    a4, a2, RUN_MOST_SPARSE
    l32i    a7, a7, 0
    srli    a7, a7, 8
    bltu    a4, a7, 9b
    s32i    a6, a2, RUN_RECORD
    l32i    a6, a2, RUN_WEIGHTS
    l32i    a7, a2, RUN_W_GAP
    add     a6, a6, a7
    s32i    a6, a2, RUN_WEIGHTS
    l32i    a6, a2, RUN_Y
    addi    a6, a6, 16
    s32i    a6, a2, RUN_Y
    l32i    a6, a2, RUN_HEAD
    addi    a6, a6, -16
    s32i    a6, a2, RUN_HEAD
    j       fixpoint_begin_rows

    // The element at a3 to q\x, and on to the next tap.
    .macro tap x
    ee.vld.128.ip q\x, a3, 16
    .endm

    // a0 further shifts, a7 and a15 steps of the halves that are stored, a8 first shift, a9 1, a10 rows of taps but the
    // last, a11 weights, a12 step to the next row of taps, a13 first weights, a14 step to the next pixel. Elements and
    // weights are loaded a tap ahead, to each of q5 to q7 in turn.
    .macro depthwise_rows_kernel name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    save
    call0   fixpoint_begin_rows
1:  l32i    a6, a1, RECORD
    mov     a11, a13
    tap     5
    ee.vld.128.ip q7, a11, 16
    load_lanes 6, 12
    loopnez a10, 2f
    tap     6
    lanes_load \bits, 5, 11, 5, 7
    tap     7
    lanes_load \bits, 6, 11, 6, 5
    tap     5
    lanes_load \bits, 7, 11, 7, 6
    ee.vld.128.xp q6, a3, a12
    lanes_load \bits, 7, 11, 5, 7
    tap     5
    lanes_load \bits, 7, 11, 6, 7
2:  tap     6
    lanes_load \bits, 5, 3, 5, 0
    lanes_load \bits, 6, 3, 6, 1
    lanes_load_by \bits, 5, 3, 14, 5, 2
    lanes_load \bits, 7, 6, 6, 3
    lanes_load \bits, 6, 6, 5, 4
    shifted \bits, 5, 8
    least_load \bits, 7, 5, 5, 7
    greatest \bits, 6
    loopnez a0, 3f
    drain_step \bits, 9, 7, 6
3:  ee.vst.h.64.xp q5, a5, a7
    addi    a4, a4, -1
    ee.vst.l.64.xp q5, a5, a15
    bnez    a4, 1b
    call0   fixpoint_next_rows
    j       1b
    .endm

    depthwise_rows_kernel depthwise_fives_i8, 8
    depthwise_rows_kernel depthwise_fives_i16, 16
