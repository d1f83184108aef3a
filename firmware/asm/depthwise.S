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

    // A vector from a\from to q\to, or its halves a12 bytes apart; a15 is what 16 has more. A block of weights or bounds
    // whose halves are of the same channels has none between them.
    .macro load_halves halves, to, from
    .if \halves
    ee.vld.l.64.xp q\to, a\from, a12
    ee.vld.h.64.xp q\to, a\from, a15
    .else
    ee.vld.128.ip q\to, a\from, 16
    .endif
    .endm

    // What is behind the weights in the scratch, at a11, and in front of the lanes; the record is at a10, the next
    // block's weights at a6, behind the drain in a13. Leaves the first shift in a8, where the drain's further steps begin
    // in a13, a6 and a14 as fixpoint_begin_3x3 does. Changes a3, a4, a5, a7, a10, a11, q5.
    .macro copy_bounds halves=0
    s32i    a6, a2, RUN_WEIGHTS
    // The record's header is in front of the lanes.
    addi    a6, a10, -64
    l8ui    a4, a6, 1
    l8ui    a8, a6, 0
    load_halves \halves, 5, 10
    // One vector in front of the lanes is loaded, and not used.
    ee.vst.128.ip q5, a11, -128
    bbci    a8, 7, 82f
    .if \halves
    mov     a5, a12
    .else
    movi    a5, 8
    .endif
    s32i    a0, a1, LINK
    call0   fixpoint_sparse
    l32i    a0, a1, LINK
    j       83f
82: addi    a6, a11, 16
    addi    a3, a4, 1
    slli    a7, a3, 4
    sub     a11, a11, a7
    movi    a14, -128
    sub     a14, a14, a7
    // A step of the drain has ten bytes.
    addx4   a4, a4, a4
    slli    a4, a4, 1
    sub     a13, a13, a4
    loopnez a3, 83f
    load_halves \halves, 5, 10
    ee.vst.128.ip q5, a11, 16
83:
    .endm

    // fixpoint_sparse: as above if the header, at a6, says which of a4 steps are there. The halves of bounds are a5 bytes
    // apart, the lower limit is at a10. The shifts come to the frame, for the steps at the end of this drain.
    .section .text.iram.sparse,"ax"
    .literal .Lsparse_drained, sparse_drained
    .global fixpoint_sparse
    .p2align 2
fixpoint_sparse:
    s32i    a13, a1, RETURN
    l32i    a3, a6, 8
    movi    a9, 1
    ssl     a4
    sll     a13, a9
    addi    a13, a13, -1
    and     a3, a3, a13
    extui   a8, a8, 0, 7
    addi    a6, a11, 16
    addi    a11, a11, -16
    addi    a4, a1, SPARSE_END
    beqz    a3, 2f
    // From the last to the first.
1:  nsau    a14, a3
    movi    a13, 31
    sub     a14, a13, a14
    ssl     a14
    sll     a13, a9
    xor     a3, a3, a13
    sub     a13, a7, a14
    s8i     a13, a4, 0
    addi    a4, a4, -1
    mov     a7, a14
    slli    a14, a14, 4
    add     a14, a14, a10
    addi    a14, a14, 16
    ee.vld.l.64.xp q5, a14, a5
    ee.vld.h.64.ip q5, a14, 0
    ee.vst.128.ip q5, a11, -16
    // No more than there is room for, whatever the record says.
    addi    a13, a4, -(SPARSE + 1)
    bltu    a13, a1, 2f
    bnez    a3, 1b
2:  addi    a7, a7, 1
    s8i     a7, a4, 0
    ee.vld.l.64.xp q5, a10, a5
    ee.vld.h.64.ip q5, a10, 0
    ee.vst.128.ip q5, a11, 0
    addi    a13, a1, SPARSE_END
    sub     a4, a13, a4
    movi    a13, -144
    slli    a14, a4, 4
    sub     a14, a13, a14
    // Here a step has 13 bytes.
    addx2   a7, a4, a4
    l32r    a13, .Lsparse_drained
    addx4   a4, a7, a4
    sub     a13, a13, a4
    ret
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
    l8ui    a4, a1, SPARSE + \n
    drain_step 8, 4, 6, 7
    .endr
sparse_drained:
    l32i    a4, a1, RETURN
    jx      a4

    // On to the next block over 3x3 taps, of which a6 are left, or to \stop. Changes a3 to a7.
    .macro next_block stop
    s32i    a6, a2, RUN_BLOCKS
    beqz    a6, \stop
    l32i    a6, a2, RUN_RECORD
    l32i    a7, a2, RUN_RECORD_STEP
    l32i    a4, a2, RUN_MOST_SHIFTS
    add     a6, a6, a7
    // Its header is in front of it: the first shift, how many follow, and bytes that are 0 if lanes aren't split.
    addi    a7, a6, -16
    l32i    a3, a7, 0
    bgeu    a4, a3, 81f
    bbci    a3, 7, \stop
    l32i    a4, a2, RUN_MOST_SPARSE
    srli    a3, a3, 8
    bltu    a4, a3, \stop
81: s32i    a6, a2, RUN_RECORD
    l32i    a5, a2, RUN_Y
    addi    a5, a5, 16
    s32i    a5, a2, RUN_Y
    .endm

    // fixpoint_next_3x3: on to the next block over 3x3 taps, of which a6 are left, if it can be done; else this leaves
    // the kernel. Changes a3 to a7.
    //
    // fixpoint_begin_3x3: once for a block. It is staged, if that is wanted; the weights of the first five taps go to
    // q0 to q4, and into the scratch, from a6 on, the lanes at the start, those of the others and the first bounds.
    // The lower limit and the other bounds are in front of it, so that a6 is where it was when a drain has come to
    // their end; to there it is a14 from the first bounds. Zeros for a tap that isn't among RUN_VECTORS. Leaves
    // elements in a3, outputs in a5, the first shift in a8, steps in a10, a11 and a7, in a13, which is behind the
    // drain, where its further steps begin, and in the frame where the elements end.
    .section .text.iram.begin_3x3,"ax"
    .global fixpoint_begin_3x3
    .global fixpoint_next_3x3
    .p2align 2
fixpoint_next_3x3:
    next_block 1f
    ret
1:  leave
    .p2align 2
fixpoint_begin_3x3:
    l32i    a6, a2, RUN_STAGING
    beqz    a6, 4f
    s32i    a0, a1, RETURN
    call0   fixpoint_staged
    l32i    a0, a1, RETURN
4:  l32i    a6, a2, RUN_WEIGHTS
    l32i    a4, a2, RUN_VECTORS
    l32i    a10, a2, RUN_RECORD
    l32i    a11, a2, RUN_SCRATCH
    .irp n, 0, 1, 2, 3, 4
    ee.vld.128.ip q\n, a6, 16
    .endr
    .irp n, 0, 1, 2, 3, 4
    bbsi    a4, \n, 1f
    ee.zero.q q\n
1:
    .endr
    // More than all bounds.
    addmi   a11, a11, 256
    .rept 3
    ee.vld.128.ip q5, a10, 16
    ee.vst.128.ip q5, a11, 16
    .endr
    .irp n, 5, 6, 7, 8
    ee.vld.128.ip q5, a6, 16
    bbsi    a4, \n, 1f
    ee.zero.q q5
1:  ee.vst.128.ip q5, a11, 16
    .endr
    copy_bounds
    l32i    a3, a2, RUN_X
    l32i    a4, a2, RUN_X_SPAN
    l32i    a5, a2, RUN_Y
    l32i    a7, a1, TO_THIRD
    l32i    a11, a1, TO_SECOND
    l32i    a10, a2, RUN_X_TAP
    add     a4, a4, a3
    s32i    a4, a1, X_END
    ret

    // 3x3 taps in the order of memory. The weights of the first five stay in q0 to q4; those of the
    // others come between the scratch's lanes and bounds, so that a6 goes through all of it and is where it
    // was. The steps are a10 and a0 within a row, a11 and a7 to the next rows and a12 to the next pixel.
    .macro depthwise_3x3_kernel name, bits
    .section .text.iram.\name,"ax"
    .literal .L\name\()_drained, \name\()_drained
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    save
    l32i    a10, a2, RUN_X_TAP
    l32i    a6, a2, RUN_X_GROUP
    l32i    a11, a2, RUN_X_PIECE
    l32i    a7, a2, RUN_W_GAP
    l32i    a12, a2, RUN_X_STEP
    l32i    a15, a2, RUN_Y_STEP
    add     a6, a10, a6
    sub     a12, a12, a6
    sub     a12, a12, a11
    sub     a12, a12, a7
    sub     a11, a11, a6
    sub     a7, a7, a6
    s32i    a11, a1, TO_SECOND
    s32i    a7, a1, TO_THIRD
    movi    a9, 1
4:  l32r    a13, .L\name\()_drained
    call0   fixpoint_begin_3x3
    l32i    a0, a2, RUN_X_GROUP
1:  l32i    a4, a2, RUN_PIXELS
    loopnez a4, 2f
    load_lanes 6, 12
    ee.vld.128.xp q5, a3, a10
    ee.vld.128.xp q6, a3, a0
    lanes_load_by \bits, 5, 3, 11, 5, 0
    lanes_load_by \bits, 6, 3, 10, 6, 1
    lanes_load_by \bits, 5, 3, 0, 5, 2
    lanes_load_by \bits, 6, 3, 7, 6, 3
    lanes_load \bits, 7, 6, 5, 4
    ee.vld.128.xp q5, a3, a10
    lanes_load \bits, 7, 6, 6, 7
    ee.vld.128.xp q6, a3, a0
    lanes_load \bits, 7, 6, 5, 7
    ee.vld.128.xp q5, a3, a12
    lanes_load \bits, 7, 6, 6, 7
    // From here on it is bounds that are loaded, and among them the lower limit.
    lanes_load_by \bits, 6, 6, 14, 5, 7
    shifted \bits, 5, 8
    least_load \bits, 7, 5, 5, 6
    greatest_load \bits, 6, 7
    jx      a13
    .rept 8
    drain_step \bits, 9, 6, 7
    .endr
\name\()_drained:
    ee.vst.128.xp q5, a5, a15
2:  l32i    a4, a2, RUN_X_GAP
    add     a3, a3, a4
    l32i    a4, a2, RUN_Y_GAP
    add     a5, a5, a4
    l32i    a4, a1, X_END
    sub     a4, a4, a3
    bnez    a4, 1b
    l32i    a6, a2, RUN_BLOCKS
    addi    a6, a6, -1
    call0   fixpoint_next_3x3
    l32i    a3, a2, RUN_X
    l32i    a4, a2, RUN_X_BLOCK
    add     a3, a3, a4
    s32i    a3, a2, RUN_X
    j       4b
    .endm

    depthwise_3x3_kernel depthwise_3x3_i8, 8
    depthwise_3x3_kernel depthwise_3x3_i16, 16

    // The same of 8 bits where all is staged: no tap is clipped, results lie without gaps. a11 step to the next row of
    // taps, a12 to the next pixel, a0 to the next row of pixels, a10 rows left, a7 pixels of a row.
    .section .text.iram.depthwise_3x3_staged,"ax"
    .literal .Ldepthwise_3x3_staged_drained, depthwise_3x3_staged_drained
    .global fixpoint_depthwise_3x3_staged
    .p2align 2
fixpoint_depthwise_3x3_staged:
    save
    l32i    a11, a2, RUN_X_PIECE
    l32i    a12, a2, RUN_X_STEP
    l32i    a15, a2, RUN_Y_STEP
    addi    a12, a12, -32
    sub     a12, a12, a11
    sub     a12, a12, a11
    addi    a11, a11, -32
    s32i    a11, a1, TO_SECOND
    movi    a9, 1
4:  l32i    a6, a2, RUN_STAGING
    call0   fixpoint_staged
    l32i    a6, a2, RUN_WEIGHTS
    l32i    a10, a2, RUN_RECORD
    l32i    a11, a2, RUN_SCRATCH
    .irp n, 0, 1, 2, 3, 4
    ee.vld.128.ip q\n, a6, 16
    .endr
    addmi   a11, a11, 256
    .rept 3
    ee.vld.128.ip q5, a10, 16
    ee.vst.128.ip q5, a11, 16
    .endr
    .rept 4
    ee.vld.128.ip q5, a6, 16
    ee.vst.128.ip q5, a11, 16
    .endr
    l32r    a13, .Ldepthwise_3x3_staged_drained
    copy_bounds
    l32i    a3, a2, RUN_X
    l32i    a5, a2, RUN_Y
    l32i    a11, a1, TO_SECOND
    l32i    a0, a2, RUN_X_GAP
    l32i    a10, a2, RUN_ROWS
    l32i    a7, a2, RUN_PIXELS
1:  loopnez a7, 2f
    load_lanes 6, 12
    ee.vld.128.ip q5, a3, 16
    ee.vld.128.ip q6, a3, 16
    lanes_load_by 8, 5, 3, 11, 5, 0
    lanes_load 8, 6, 3, 6, 1
    lanes_load 8, 5, 3, 5, 2
    lanes_load_by 8, 6, 3, 11, 6, 3
    lanes_load 8, 7, 6, 5, 4
    ee.vld.128.ip q5, a3, 16
    lanes_load 8, 7, 6, 6, 7
    ee.vld.128.ip q6, a3, 16
    lanes_load 8, 7, 6, 5, 7
    ee.vld.128.xp q5, a3, a12
    lanes_load 8, 7, 6, 6, 7
    lanes_load_by 8, 6, 6, 14, 5, 7
    shifted 8, 5, 8
    least_load 8, 7, 5, 5, 6
    greatest_load 8, 6, 7
    jx      a13
    .rept 8
    drain_step 8, 9, 6, 7
    .endr
depthwise_3x3_staged_drained:
    ee.vst.128.xp q5, a5, a15
2:  addi    a10, a10, -1
    add     a3, a3, a0
    bnez    a10, 1b
    l32i    a6, a2, RUN_BLOCKS
    addi    a6, a6, -1
    next_block 3f
    j       4b
3:  leave

    // fixpoint_begin_ring: once for a block, as fixpoint_begin_3x3, of `Ring` in crates/vector. Leaves outputs in a5,
    // shifts, bounds and lanes as there, and 3 in a10, the rows that fixpoint_ring is to copy.
    //
    // fixpoint_ring: copies a10 rows. Leaves elements in a3, steps to the next rows in a11 and a7, to the next pixel in
    // a12, pixels in a10.
    .section .text.iram.ring,"ax"
    .global fixpoint_begin_ring
    .global fixpoint_ring
    .p2align 2
fixpoint_begin_ring:
    l32i    a5, a2, RUN_RING
    l32i    a6, a2, RUN_WEIGHTS
    l32i    a10, a2, RUN_RECORD
    l32i    a11, a2, RUN_SCRATCH
    l32i    a12, a5, RING_HALF
    movi    a15, 16
    sub     a15, a15, a12
    .irp n, 0, 1, 2, 3, 4
    load_halves 1, \n, 6
    .endr
    addmi   a11, a11, 256
    .rept 3
    ee.vld.128.ip q5, a10, 16
    ee.vst.128.ip q5, a11, 16
    .endr
    bnez    a12, 1f
    // The lanes' halves as well.
    addi    a7, a11, -48
    ee.vld.128.ip q5, a7, 16
    ee.vst.128.ip q5, a7, 16
    l32i    a3, a7, 0
    s32i    a3, a7, 4
1:  .rept 4
    load_halves 1, 5, 6
    ee.vst.128.ip q5, a11, 16
    .endr
    copy_bounds 1
    l32i    a4, a2, RUN_RING
    l32i    a3, a2, RUN_X
    l32i    a7, a2, RUN_X_PIECE
    s32i    a3, a1, RING_FIRST
    add     a3, a3, a7
    s32i    a3, a1, RING_SECOND
    add     a3, a3, a7
    s32i    a3, a1, RING_THIRD
    l32i    a3, a4, RING_FROM
    s32i    a3, a1, FROM
    addi    a3, a3, 16
    s32i    a3, a4, RING_FROM
    l32i    a3, a4, RING_AT
    s32i    a3, a1, ROW_AT
    l32i    a5, a2, RUN_Y
    l32i    a3, a2, RUN_X_TAP
    sub     a5, a5, a3
    l32i    a3, a2, RUN_ROWS
    movi    a10, 3
    s32i    a3, a1, ROWS_LEFT
    ret
    .p2align 2
fixpoint_ring:
    l32i    a4, a2, RUN_RING
1:  l32i    a11, a1, RING_FIRST
    l32i    a12, a1, RING_SECOND
    l32i    a15, a1, RING_THIRD
    s32i    a12, a1, RING_FIRST
    s32i    a15, a1, RING_SECOND
    s32i    a11, a1, RING_THIRD
    l32i    a3, a1, FROM
    l32i    a12, a4, RING_ROW
    l32i    a7, a1, ROW_AT
    l32i    a9, a4, RING_INSIDE
    add     a12, a3, a12
    s32i    a12, a1, FROM
    addi    a12, a7, 1
    s32i    a12, a1, ROW_AT
    l32i    a12, a4, RING_BEFORE
    l32i    a15, a4, RING_OTHER
    add     a11, a11, a12
    bltu    a7, a9, 2f
    // Outside the input are zeros.
    l32i    a3, a4, RING_ZEROS
    movi    a9, 0
    movi    a15, 0
    j       3f
2:  l32i    a9, a4, RING_PIXEL
3:  l32i    a7, a4, RING_HEAD
    beqz    a7, 5f
    bltz    a7, 8f
    add     a3, a3, a15
    addi    a11, a11, 8
    loopnez a7, 4f
    ee.vld.h.64.xp q5, a3, a9
    ee.vst.h.64.ip q5, a11, 16
4:  addi    a11, a11, -8
    sub     a3, a3, a15
5:  l32i    a7, a4, RING_BOTH
    sub     a12, a9, a15
    loopnez a7, 6f
    ee.vld.l.64.xp q5, a3, a15
    ee.vld.h.64.xp q5, a3, a12
    ee.vst.128.ip q5, a11, 16
6:  l32i    a7, a4, RING_TAIL
    loopnez a7, 7f
    ee.vld.l.64.xp q5, a3, a9
    ee.vst.l.64.ip q5, a11, 16
7:  addi    a10, a10, -1
    bnez    a10, 1b
    l32i    a3, a1, RING_FIRST
    l32i    a10, a1, RING_SECOND
    l32i    a15, a1, RING_THIRD
    l32i    a4, a2, RUN_X_STEP
    sub     a11, a10, a3
    sub     a7, a15, a10
    sub     a12, a3, a15
    l32i    a10, a2, RUN_PIXELS
    add     a12, a12, a4
    addi    a11, a11, -32
    addi    a7, a7, -32
    addi    a12, a12, -32
    movi    a9, 1
    ret
    // Vectors at any address.
8:  l32i    a7, a4, RING_BOTH
    addi    a15, a9, -16
    loopnez a7, 9f
    ee.ld.128.usar.ip q5, a3, 16
    ee.vld.128.xp q6, a3, a15
    ee.src.q q5, q5, q6
    ee.vst.128.ip q5, a11, 16
9:  j       7b

    // 3x3 taps of rows that are copied to a ring of three; halves of a vector are stored by themselves, or lanes at any
    // address. As above; a0 to the third row of taps, a7 and a15 steps of the halves that are stored, or a7 from pixel to
    // pixel, and a15 how many lanes are stored, less 16.
    .macro depthwise_3x3_ring_kernel name, bits, halves
    .section .text.iram.\name,"ax"
    .literal .L\name\()_drained, \name\()_drained
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    save
4:  l32r    a13, .L\name\()_drained
    call0   fixpoint_begin_ring
1:  call0   fixpoint_ring
    mov     a0, a7
    .if \halves
    l32i    a15, a2, RUN_X_TAP
    .else
    l32i    a15, a2, RUN_LANES
    addi    a15, a15, -16
    .endif
    l32i    a7, a2, RUN_Y_STEP
    loopnez a10, 2f
    load_lanes 6, 12
    ee.vld.128.ip q5, a3, 16
    ee.vld.128.ip q6, a3, 16
    lanes_load_by \bits, 5, 3, 11, 5, 0
    lanes_load \bits, 6, 3, 6, 1
    lanes_load \bits, 5, 3, 5, 2
    lanes_load_by \bits, 6, 3, 0, 6, 3
    lanes_load \bits, 7, 6, 5, 4
    ee.vld.128.ip q5, a3, 16
    lanes_load \bits, 7, 6, 6, 7
    ee.vld.128.ip q6, a3, 16
    lanes_load \bits, 7, 6, 5, 7
    ee.vld.128.xp q5, a3, a12
    lanes_load \bits, 7, 6, 6, 7
    lanes_load_by \bits, 6, 6, 14, 5, 7
    shifted \bits, 5, 8
    least_load \bits, 7, 5, 5, 6
    greatest_load \bits, 6, 7
    jx      a13
    .rept 8
    drain_step \bits, 9, 6, 7
    .endr
\name\()_drained:
    .if \halves
    ee.vst.h.64.xp q5, a5, a15
    ee.vst.l.64.xp q5, a5, a7
    .else
    bnez    a15, 5f
    // The core stores words at any address.
    ee.movi.32.a q5, a4, 3
    ee.movi.32.a q5, a10, 2
    s32i    a4, a5, 12
    s32i    a10, a5, 8
    ee.movi.32.a q5, a4, 1
    ee.movi.32.a q5, a10, 0
    s32i    a4, a5, 4
    s32i    a10, a5, 0
3:  add     a5, a5, a7
    .endif
2:  l32i    a4, a2, RUN_RING
    l32i    a3, a2, RUN_Y_GAP
    l32i    a7, a1, ROWS_LEFT
    add     a5, a5, a3
    addi    a7, a7, -1
    s32i    a7, a1, ROWS_LEFT
    l32i    a10, a4, RING_STRIDE
    bnez    a7, 1b
    l32i    a6, a2, RUN_BLOCKS
    addi    a6, a6, -1
    call0   fixpoint_next_3x3
    j       4b
    .if \halves == 0
    // Not all lanes.
5:  mov     a4, a6
    s32i    a11, a1, ELEMENTS_STEP
    s32i    a0, a1, LINK
    addi    a10, a15, 16
    call0   fixpoint_store_i8
    l32i    a11, a1, ELEMENTS_STEP
    l32i    a0, a1, LINK
    mov     a6, a4
    j       3b
    .endif
    .endm

    depthwise_3x3_ring_kernel depthwise_3x3_halves_i8, 8, 1
    depthwise_3x3_ring_kernel depthwise_3x3_halves_i16, 16, 1
    depthwise_3x3_ring_kernel depthwise_3x3_any, 8, 0

    // fixpoint_staged: copies what `Staging` in crates/vector says, which is at a6. Changes a3 to a8, a10, a11.
    .section .text.iram.stage,"ax"
    .literal .Lstage_copied, stage_copied
    .global fixpoint_staged
    .p2align 2
fixpoint_staged:
    l32i    a3, a6, 0
    l32i    a11, a6, 28
    l32i    a5, a6, 8
    l32i    a10, a6, 12
    addi    a4, a3, 16
    s32i    a4, a6, 0
    l32i    a4, a6, 4
    l32i    a7, a6, 16
    l32i    a8, a6, 24
    bnez    a11, 7f
    // Short rows, one after another: each by a jump into its copies. A pixel has six bytes.
    l32r    a11, .Lstage_copied
    addx2   a10, a10, a10
    slli    a10, a10, 1
    sub     a11, a11, a10
    addi    a8, a8, 16
    loopnez a7, 6f
    jx      a11
    .rept 11
    ee.vld.128.xp q0, a3, a5
    ee.vst.128.ip q0, a4, 16
    .endr
    ee.vld.128.xp q0, a3, a5
    ee.vst.128.xp q0, a4, a8
stage_copied:
6:  ret
7:  beqz    a7, 5f
    mov     a11, a8
    l32i    a8, a6, 20
1:  loopnez a10, 2f
    ee.vld.128.xp q0, a3, a5
    ee.vst.128.ip q0, a4, 16
2:  add     a3, a3, a8
    add     a4, a4, a11
    addi    a7, a7, -1
    bnez    a7, 1b
5:  ret

    // fixpoint_clear(to, vectors)
    .section .text.iram.clear,"ax"
    .global fixpoint_clear
    .p2align 2
    // So that the loop is aligned.
    nop.n
fixpoint_clear:
    ee.zero.q q0
    loopnez a3, 1f
    ee.vst.128.ip q0, a2, 16
1:  ret
