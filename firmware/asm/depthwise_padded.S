// Depthwise convolutions over 3x3 taps where padding is left out (`Kernel::Depthwise3x3Padded` in crates/vector).
    .include "blocks.inc"

    // fixpoint_begin_padded: to the first row of windows of the first block.
    // fixpoint_next_padded: to the next row that isn't clipped like the one before, or to the first of the next block;
    // behind the last, or in front of one that can't be done, this leaves the kernel.
    //
    // Windows are read column by column. The weights of the first column and of two taps of the second are in q0 to q4;
    // those of the others come between the scratch's lanes and bounds. Where a row of taps is in the padding its weights
    // are zero, and the row of taps next to it is read twice. a10 and a11 step to the next rows of taps, a12 to the next
    // column, a7 to the next pixel; a4 is how many such rows of windows there are; the rest as fixpoint_begin_3x3.
    .section .text.iram.padded,"ax"
    .global fixpoint_begin_padded
    .global fixpoint_next_padded
    .p2align 2
fixpoint_begin_padded:
    j       4f
    .p2align 2
fixpoint_next_padded:
    // Only behind rows whose first taps are clipped a10 is 0, and a11 where their last are.
    beqz    a10, 2f
    beqz    a11, 1f
    l32i    a4, a2, RUN_GROUPS
    beqz    a4, 1f
    ee.zero.q q2
    ee.zero.q q5
    addi    a7, a6, 48
    ee.vst.128.ip q5, a7, 48
    ee.vst.128.ip q5, a7, 0
    l32i    a7, a2, RUN_X_GROUP
    add     a12, a12, a11
    add     a7, a7, a11
    movi    a11, 0
    ret
    // The first row of taps is inside again.
2:  l32i    a7, a2, RUN_WEIGHTS
    addi    a10, a6, 64
    addmi   a7, a7, -256
    addi    a7, a7, 112
    ee.vld.128.ip q0, a7, 16
    ee.vld.128.ip q3, a7, 16
    ee.vld.128.ip q5, a7, 16
    ee.vst.128.ip q5, a10, 0
    sub     a3, a3, a11
    mov     a10, a11
    sub     a12, a12, a11
    l32i    a7, a2, RUN_X_GROUP
    l32i    a4, a2, RUN_ROWS
    ret
9:  leave
1:  l32i    a6, a2, RUN_BLOCKS
    l32i    a13, a1, DRAINED
    addi    a6, a6, -1
    next_block 9b, 0
    // What is called lies at words, and zeros in front of it.
4:  l32i    a6, a2, RUN_WEIGHTS
    l32i    a10, a2, RUN_RECORD
    l32i    a11, a2, RUN_SCRATCH
    ee.vld.128.ip q0, a6, 48
    ee.vld.128.ip q1, a6, 48
    ee.vld.128.ip q2, a6, -80
    ee.vld.128.ip q3, a6, 48
    ee.vld.128.ip q4, a6, 48
    copy_lanes
    .irp next, -80, 48, 48, 16
    ee.vld.128.ip q5, a6, \next
    ee.vst.128.ip q5, a11, 16
    .endr
    copy_bounds
    l32i    a11, a2, RUN_X_PIECE
    l32i    a4, a2, RUN_PIECES
    l32i    a3, a2, RUN_X
    l32i    a5, a2, RUN_Y
    addi    a10, a3, 16
    addi    a12, a5, 16
    s32i    a10, a2, RUN_X
    s32i    a12, a2, RUN_Y
    l32i    a12, a2, RUN_X_TAP
    l32i    a7, a2, RUN_X_GROUP
    mov     a10, a11
    bnez    a4, 3f
    l32i    a4, a2, RUN_ROWS
    ret
3:  addi    a10, a6, 64
    ee.zero.q q0
    ee.zero.q q3
    ee.zero.q q5
    ee.vst.128.ip q5, a10, 0
    add     a12, a12, a11
    add     a7, a7, a11
    movi    a10, 0
    ret

    // a0 step to the next pixel, a7 what is left of the row: negative at a first pixel without a column of taps, then
    // the bytes of what the last pixel leaves out, if that has no third column, else 0.
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
4:  mov     a0, a7
5:  s32i    a4, a1, ROWS_LEFT
    l32i    a7, a2, RUN_HEAD
    bgez    a7, 1f
    // The first column is left out.
    load_lanes 6, 12
    ee.vld.128.xp q6, a3, a10
    ee.vld.128.xp q5, a3, a11
    j       7f
    // Behind it the loop's end is met as if the loop were over: it has been, whenever it was run.
8:  addmi   a7, a7, 256
1:  l32i    a4, a2, RUN_PIXELS
    loopnez a4, 2f
    load_lanes 6, 12
    ee.vld.128.xp q5, a3, a10
    ee.vld.128.xp q6, a3, a11
    lanes_load_by \bits, 5, 3, 12, 5, 0
    lanes_load_by \bits, 6, 3, 10, 6, 1
    lanes_load_by \bits, 5, 3, 11, 5, 2
7:  lanes_load_by \bits, 6, 3, 12, 6, 3
    lanes_load \bits, 7, 6, 5, 4
    ee.vld.128.xp q5, a3, a10
    lanes_load \bits, 7, 6, 6, 7
    ee.vld.128.xp q6, a3, a11
    lanes_load \bits, 7, 6, 5, 7
    ee.vld.128.xp q5, a3, a0
    lanes_load \bits, 7, 6, 6, 7
    lanes_load_by \bits, 6, 6, 14, 5, 7
6:  drain_3x3 \bits
\name\()_drained:
    ee.vst.128.xp q5, a5, a15
2:  bltz    a7, 8b
    beqz    a7, 3f
    // The last column is left out: over its weights to the bounds.
    load_lanes 6, 12
    ee.vld.128.xp q5, a3, a10
    ee.vld.128.xp q6, a3, a11
    lanes_load_by \bits, 5, 3, 12, 5, 0
    lanes_load_by \bits, 6, 3, 10, 6, 1
    lanes_load_by \bits, 5, 3, 11, 5, 2
    lanes_load_by \bits, 6, 3, 12, 6, 3
    lanes_load_by \bits, 7, 6, 7, 5, 4
    movi    a7, 0
    lanes_load_by \bits, 6, 6, 14, 6, 7
    j       6b
3:  l32i    a7, a2, RUN_X_GAP
    l32i    a4, a1, ROWS_LEFT
    add     a3, a3, a7
    addi    a4, a4, -1
    bnez    a4, 5b
    call0   fixpoint_next_padded
    j       4b
    .endm

    depthwise_3x3_padded_kernel depthwise_3x3_padded_i8, 8
    depthwise_3x3_padded_kernel depthwise_3x3_padded_i16, 16
