// Depthwise convolutions over 3x3 taps where padding is left out (`Kernel::Depthwise3x3Padded` in crates/vector).
    .include "blocks.inc"

    // fixpoint_begin_padded: to the first row of windows of the first block.
    // fixpoint_next_padded: to the next row that isn't clipped like the one before, or to the first of the next block;
    // behind the last, or in front of one that can't be done, this leaves the kernel.
    //
    // Windows are read column by column. The weights of the first column and of two taps of the second are in q0 to q4;
    // those of the others come between the scratch's lanes and bounds. Where a row of taps is in the padding, windows are
    // read from the middle row on to the other one, whose weights are in q0, q3 and q2. a10 steps from row to row of taps,
    // a12 to the next column, a7 to the next pixel; a4 is how many such rows of windows there are, and a11 is positive
    // where their first taps are left out, negative where their last are, else 0; the rest as fixpoint_begin_3x3.
    .section .text.iram.padded,"ax"
    .global fixpoint_begin_padded
    .global fixpoint_next_padded
    .p2align 2
fixpoint_begin_padded:
    j       4f
    .p2align 2
fixpoint_next_padded:
    beqz    a11, 2f
    bltz    a11, 1f
    // The first row of taps is inside again.
    l32i    a7, a2, RUN_WEIGHTS
    movi    a11, 0
    sub     a3, a3, a10
    addmi   a7, a7, -256
    addi    a7, a7, 112
    ee.vld.128.ip q0, a7, 16
    ee.vld.128.ip q3, a7, 80
    ee.vld.128.ip q2, a7, 0
    sub     a12, a12, a10
    l32i    a7, a2, RUN_X_GROUP
    l32i    a4, a2, RUN_ROWS
    ret
2:  l32i    a4, a2, RUN_GROUPS
    addi    a7, a6, 64
    beqz    a4, 1f
    // From the middle row back to the first.
    ee.vld.128.ip q2, a7, 0
    addx2   a11, a10, a10
    l32i    a7, a2, RUN_X_GROUP
    add     a3, a3, a10
    add     a12, a12, a11
    add     a7, a7, a11
    neg     a10, a10
    movi    a11, -1
    ret
9:  leave
1:  l32i    a6, a2, RUN_BLOCKS
    l32i    a13, a1, DRAINED
    addi    a6, a6, -1
    next_block 9b, 0
4:  l32i    a10, a2, RUN_RECORD
    l32i    a11, a2, RUN_SCRATCH
    l32i    a6, a2, RUN_WEIGHTS
    l32i    a12, a2, RUN_PIECES
    copy_lanes
    beqz    a12, 3f
    // From the middle row on to the last.
    addi    a6, a6, 32
    .irp weights, 7, 1, 4, 5, 0, 3, 2
    ee.vld.128.ip q\weights, a6, 16
    .endr
    .irp weights, 3, 7, 5, 2
    ee.vst.128.ip q\weights, a11, 16
    .endr
5:  copy_bounds
    l32i    a3, a2, RUN_X
    l32i    a5, a2, RUN_Y
    mov     a11, a12
    addi    a10, a3, 16
    addi    a12, a5, 16
    s32i    a10, a2, RUN_X
    s32i    a12, a2, RUN_Y
    l32i    a10, a2, RUN_X_PIECE
    l32i    a12, a2, RUN_X_TAP
    l32i    a7, a2, RUN_X_GROUP
    mov     a4, a11
    beqz    a4, 6f
    add     a12, a12, a10
    add     a7, a7, a10
    ret
6:  l32i    a4, a2, RUN_ROWS
    ret
3:  ee.vld.128.ip q0, a6, 48
    ee.vld.128.ip q1, a6, 48
    ee.vld.128.ip q2, a6, -80
    ee.vld.128.ip q3, a6, 48
    ee.vld.128.ip q4, a6, 48
    .irp next, -80, 48, 48, 16
    ee.vld.128.ip q5, a6, \next
    ee.vst.128.ip q5, a11, 16
    .endr
    j       5b

    // A window's first column, of three rows of taps and of two. The next one's first elements are then in q6 and q5, and
    // those of two rows in q5 and q6.
    .macro column_of_three bits
    ee.vld.128.xp q5, a3, a10
    ee.vld.128.xp q6, a3, a10
    lanes_load_by \bits, 5, 3, 12, 5, 0
    lanes_load_by \bits, 6, 3, 10, 6, 1
    lanes_load_by \bits, 5, 3, 10, 5, 2
    .endm
    .macro column_of_two bits
    ee.vld.128.xp q5, a3, a10
    ee.vld.128.xp q6, a3, a12
    lanes_load_by \bits, 5, 3, 10, 5, 1
    lanes_load_by \bits, 6, 3, 12, 6, 0
    .endm

    // a0 is what is left of the row: negative at a first pixel without a column of taps, then the bytes of what the last
    // pixel leaves out, if that has no third column, else 0.
    .macro depthwise_3x3_padded_kernel name, bits
    .section .text.iram.\name,"ax"
    .literal .L\name\()_drained, \name\()_drained
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    save
    l32r    a13, .L\name\()_drained
    l32i    a15, a2, RUN_Y_STEP
    movi    a9, 1
    s32i    a13, a1, DRAINED
    call0   fixpoint_begin_padded
    j       4f
3:  l32i    a0, a2, RUN_X_GAP
    l32i    a4, a1, ROWS_LEFT
    add     a3, a3, a0
    addi    a4, a4, -1
    bnez    a4, 4f
    call0   fixpoint_next_padded
4:  s32i    a4, a1, ROWS_LEFT
    l32i    a0, a2, RUN_HEAD
    bnez    a11, 10f
    bgez    a0, 1f
    // The first column is left out.
    load_lanes 6, 12
    ee.vld.128.xp q6, a3, a10
    ee.vld.128.xp q5, a3, a10
    j       7f
    // The same of two rows of taps.
10: bgez    a0, 11f
    load_lanes 6, 44
    ee.vld.128.xp q5, a3, a10
    ee.vld.128.xp q6, a3, a12
    j       12f
    // Behind it the loop's end is met as if the loop were over: it has been, whenever it was run.
8:  addmi   a0, a0, 256
    beqz    a11, 1f
11: l32i    a4, a2, RUN_PIXELS
    loopnez a4, 2f
    load_lanes 6, 44
    column_of_two \bits
12: ee.vld.128.ip q7, a6, 32
    lanes_load_by \bits, 5, 3, 10, 5, 4
    lanes_load_by \bits, 6, 3, 7, 6, 3
    lanes   \bits, 5, 7
    lanes_load_by \bits, 6, 6, 14, 6, 2
    // To the end of the other loop, which is this one's.
    j       6f
1:  l32i    a4, a2, RUN_PIXELS
    loopnez a4, 2f
    load_lanes 6, 12
    column_of_three \bits
7:  lanes_load_by \bits, 6, 3, 12, 6, 3
    lanes_load \bits, 7, 6, 5, 4
    ee.vld.128.xp q5, a3, a10
    lanes_load \bits, 7, 6, 6, 7
    ee.vld.128.xp q6, a3, a10
    lanes_load \bits, 7, 6, 5, 7
    ee.vld.128.xp q5, a3, a7
    lanes_load \bits, 7, 6, 6, 7
    lanes_load_by \bits, 6, 6, 14, 5, 7
6:  drain_3x3 \bits
\name\()_drained:
    ee.vst.128.xp q5, a5, a15
2:  bltz    a0, 8b
    beqz    a0, 3b
    // The last column is left out: over its weights to the bounds.
    bnez    a11, 13f
    load_lanes 6, 12
    column_of_three \bits
    lanes_load_by \bits, 6, 3, 12, 6, 3
    lanes_load_by \bits, 7, 6, 0, 5, 4
    movi    a0, 0
    lanes_load_by \bits, 6, 6, 14, 6, 7
    j       6b
13: load_lanes 6, 76
    column_of_two \bits
    movi    a0, 0
    lanes   \bits, 5, 4
    lanes_load_by \bits, 6, 6, 14, 6, 3
    j       6b
    .endm

    depthwise_3x3_padded_kernel depthwise_3x3_padded_i8, 8
    depthwise_3x3_padded_kernel depthwise_3x3_padded_i16, 16
