// Convolutions over all input channels, on the vector unit.
    .include "parts.inc"

    // fixpoint_unit_on(): this core may execute vector instructions from now on.
    .section .text.unit_on,"ax"
    .global fixpoint_unit_on
    .p2align 2
fixpoint_unit_on:
    movi    a2, 0xff
    wsr     a2, cpenable
    rsync
    ret

    // ---- what is not in line ----

    // q5 to a5: sixteen bytes anywhere, or eight, or another number element by element, by a jump into
    // the stores; as many elements as a10 says. Changes a6, a10, a11. What is below the stack is free: there are no interrupts.
    .macro store_function bits, all, half
    .section .text.iram.store_i\bits,"ax"
    .literal .Lstored_i\bits, stored_i\bits
    .global fixpoint_store_i\bits
    .p2align 2
    // The core stores words at any address.
1:  ee.movi.32.a q5, a6, 3
    ee.movi.32.a q5, a10, 2
    s32i    a6, a5, 12
    s32i    a10, a5, 8
2:  ee.movi.32.a q5, a6, 1
    ee.movi.32.a q5, a10, 0
    s32i    a6, a5, 4
    s32i    a10, a5, 0
    ret
    .p2align 2
fixpoint_store_i\bits:
    beqi    a10, \all, 1b
    beqi    a10, \half, 2b
    addi    a6, a1, -16
    // A pair has six bytes.
    l32r    a11, .Lstored_i\bits
    addx2   a10, a10, a10
    slli    a10, a10, 1
    ee.vst.128.ip q5, a6, 0
    sub     a11, a11, a10
    jx      a11
    .if \bits == 8
    .irp n, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0
    l8ui    a10, a6, \n
    s8i     a10, a5, \n
    .endr
    .else
    .irp n, 14, 12, 10, 8, 6, 4, 2, 0
    l16ui   a10, a6, \n
    s16i    a10, a5, \n
    .endr
    .endif
stored_i\bits:
    ret
    .endm

    store_function 8, 16, 8
    store_function 16, 8, 4

    // fixpoint_bounds_i*(bounds): what they are is in crates/vector, `Bounds`.
    .macro bounds_function name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    .irp n, 1, 2, 3, 4, 5, 6
    addi    a6, a2, 10 + 2 * \n
    .if \bits == 8
    ee.vldbc.8 q\n, a6
    .else
    ee.vldbc.16 q\n, a6
    .endif
    .endr
    l32i    a3, a2, 0
    l32i    a4, a2, 4
    l32i    a5, a2, 8
    .if \bits == 8
    ee.vld.128.ip q0, a4, 0
    ee.vmin.s8 q0, q0, q3
    .else
    ee.vld.l.64.ip q0, a4, 0
    ee.zero.q q7
    ee.vzip.8 q0, q7
    ee.vmin.s16 q0, q0, q3
    .endif
    bounds_step \bits
    ee.vst.128.ip q4, a3, 16
    loopnez a5, 1f
    bounds_step \bits
1:  ret
    .endm

    // All bits of the lanes whose shift in q0 this is, but for the highest: that of the others. Of that
    // and the upper limit the lesser is stored; q1 is on to the next shift.
    .macro bounds_step bits
    .if \bits == 8
    ee.vcmp.eq.s8 q7, q0, q1
    ee.xorq q7, q7, q6
    ee.vmin.s8 q7, q7, q5
    ee.vadds.s8 q1, q1, q2
    .else
    ee.vcmp.eq.s16 q7, q0, q1
    ee.xorq q7, q7, q6
    ee.vmin.s16 q7, q7, q5
    ee.vadds.s16 q1, q1, q2
    .endif
    ee.vst.128.ip q7, a3, 16
    .endm

    bounds_function bounds_i8, 8
    bounds_function bounds_i16, 16

    // The image at ABOVE and the list's sum to the lanes; the list is empty. Changes a6, a8, q0, q1.
    .section .text.iram.fold,"ax"
    .global fixpoint_fold
    .p2align 2
fixpoint_fold:
    l32i    a8, a1, ABOVE
    load_lanes 8, 12
    add_list
    l32i    a13, a1, LIST_BEGIN
    ret

    // The lanes for the drain, where the biases' upper bits are an image: the last part is split like
    // the others, and its rest is added if it counts. Changes a6, a8, a11, a13, q0 to q5.
    .section .text.iram.join,"ax"
    .global fixpoint_join
    .p2align 2
fixpoint_join:
    mov     a11, a0
    keep_above
    l32i    a0, a2, RUN_JOIN_SHIFT
    extui   a0, a0, 0, 5
    beqz    a0, 1f
    load_rest
    shifted 8, 3, 0
    call0   fixpoint_fold
    addi    a8, a2, RUN_ONE
    ee.vldbc.8 q1, a8
    ee.vmulas.s8.qacc q3, q1
    j       2f
1:  call0   fixpoint_fold
    // For the next pixel.
2:  l32i    a8, a2, RUN_RECORD
    addi    a8, a8, -48
    s32i    a8, a1, ABOVE
    jx      a11

    // Bits 0 to 11 of each lane of 20 bits: of an image's first and second vector, and of its third.
    .section .rodata.rest,"a"
    .p2align 4
    .global fixpoint_rest_masks
fixpoint_rest_masks:
    .byte 0xff, 0x0f, 0xf0, 0xff, 0x00, 0xff, 0x0f, 0xf0, 0xff, 0x00, 0xff, 0x0f, 0xf0, 0xff, 0x00, 0xff
    .byte 0x0f, 0xf0, 0xff, 0x00, 0x0f, 0xf0, 0xff, 0x00, 0, 0, 0, 0, 0, 0, 0, 0

    // ---- one piece ----

    // a7 gap from pixel to pixel, a8 first shift, a9 1, a12 vectors but the last, a13 weights, a14
    // record, a15 step of the output. The last vector's last products load
    // the next pixel's first weights.
    .macro point_kernel bits
    .section .text.iram.point_i\bits,"ax"
    .global fixpoint_point_i\bits
    .p2align 2
fixpoint_point_i\bits:
    enter
    l32i    a12, a2, RUN_VECTORS
    l32i    a7, a2, RUN_X_STEP
    l32i    a15, a2, RUN_Y_STEP
    l32i    a13, a2, RUN_WEIGHTS
    l32i    a14, a2, RUN_RECORD
    slli    a6, a12, 4
    addi    a12, a12, -1
    sub     a7, a7, a6
    movi    a9, 1
    enter_bounds
    l32i    a8, a2, RUN_FIRST_SHIFT
    mov     a11, a13
    l32i    a4, a2, RUN_PIXELS
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
1:  l32i    a0, a2, RUN_MORE_SHIFTS
2:  mov     a6, a14
    load_lanes 6, 108
    loopnez a12, 3f
    ee.vld.128.ip q2, a3, 16
    products \bits, 2, 11
3:  ee.vld.128.ip q2, a3, 16
    .if \bits == 8
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
    ee.vsmulas.s8.qacc.ld.incp q(\n & 1), a11, q(\n & 1), q2, \n
    .endr
    mov     a11, a13
    ee.vsmulas.s8.qacc.ld.incp q0, a11, q0, q2, 14
    ee.vsmulas.s8.qacc.ld.incp q1, a11, q1, q2, 15
    .else
    .irp n, 0, 1, 2, 3, 4, 5
    ee.vsmulas.s16.qacc.ld.incp q(\n & 1), a11, q(\n & 1), q2, \n
    .endr
    mov     a11, a13
    ee.vsmulas.s16.qacc.ld.incp q0, a11, q0, q2, 6
    ee.vsmulas.s16.qacc.ld.incp q1, a11, q1, q2, 7
    .endif
    shifted \bits, 3, 8
    add     a3, a3, a7
    least_load \bits, 4, 5, 3, 6
    greatest \bits, 7
    loopnez a0, 4f
    drain_step \bits, 9, 4, 3
4:  addi    a4, a4, -1
    ee.vst.128.xp q5, a5, a15
    bnez    a4, 2b
    next_row 1b
    leave
    .endm

    point_kernel 8
    point_kernel 16

    // ---- any pieces ----

    // a7 gap of the elements, a8 weights, a9 pieces, a12 vectors, a13 groups left, a14 gap of the
    // weights; a0 pieces left, a10 elements, a11 weights, of which two
    // vectors are loaded ahead: where there is no gap, they are the next piece's.
    .macro aligned_kernel bits
    .section .text.iram.aligned_i\bits,"ax"
    .global fixpoint_aligned_i\bits
    .p2align 2
fixpoint_aligned_i\bits:
    enter
    l32i    a12, a2, RUN_VECTORS
    l32i    a7, a2, RUN_X_PIECE
    l32i    a14, a2, RUN_W_GAP
    slli    a6, a12, 4
    sub     a7, a7, a6
    beqz    a14, 1f
    addi    a14, a14, -32
1:  enter_bounds
    l32i    a8, a2, RUN_WEIGHTS
    l32i    a9, a2, RUN_PIECES
    l32i    a4, a2, RUN_PIXELS
1:  start_lanes 32
    mov     a11, a8
    l32i    a13, a2, RUN_GROUPS
    ee.vld.128.ip q0, a11, 16
    mov     a10, a3
    ee.vld.128.ip q1, a11, 16
2:  mov     a0, a9
3:  loopnez a12, 4f
    ee.vld.128.ip q2, a10, 16
    products \bits, 2, 11
4:  addi    a0, a0, -1
    add     a10, a10, a7
    beqz    a0, 5f
    beqz    a14, 3b
    add     a11, a11, a14
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    j       3b
5:  addi    a13, a13, -1
    bnez    a13, 6f
    drain_kept \bits
    store_and_next \bits, 1b, 1b
6:  l32i    a0, a2, RUN_X_GROUP
    add     a10, a10, a0
    l32i    a0, a2, RUN_W_GROUP
    addi    a11, a11, -32
    add     a11, a11, a0
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    j       2b
    .endm

    aligned_kernel 8
    aligned_kernel 16

    // Into a\to where the head's products begin, those in front of the label; a product has four bytes.
    // a6 becomes the head. Changes a10.
    .macro enter_heads name, to
    l32i    a6, a2, RUN_HEAD
    l32r    a\to, .L\name\()_headed
    slli    a10, a6, 2
    sub     a\to, a\to, a10
    .endm

    // a7 step of the elements, a8 and a9 steps of the first weights, a12 vectors, a13 where the head's
    // products begin, a14 gap of the weights, a15 elements of the piece; a0 pieces left, a6 groups
    // left, a10 elements, a11 weights.
    .macro unaligned_kernel bits
    .section .text.iram.unaligned_i\bits,"ax"
    .literal .Lunaligned_i\bits\()_headed, unaligned_i\bits\()_headed
    .global fixpoint_unaligned_i\bits
    .p2align 2
fixpoint_unaligned_i\bits:
    enter
    enter_heads unaligned_i\bits, 13
    l32i    a12, a2, RUN_VECTORS
    l32i    a7, a2, RUN_X_PIECE
    l32i    a14, a2, RUN_W_GAP
    // An odd head begins with q1: weights are then loaded to it before q0.
    extui   a6, a6, 0, 1
    slli    a6, a6, 4
    addi    a14, a14, -32
    add     a14, a14, a6
    l32i    a10, a2, RUN_WEIGHTS
    movi    a8, 16
    add     a10, a10, a6
    sub     a8, a8, a6
    sub     a8, a8, a6
    s32i    a10, a1, WEIGHTS
    movi    a9, 16
    add     a9, a9, a6
    enter_bounds
    l32i    a4, a2, RUN_PIXELS
1:  l32i    a6, a2, RUN_RECORD
    l32i    a11, a1, WEIGHTS
    load_lanes 6, 76
    l32i    a6, a2, RUN_GROUPS
    mov     a15, a3
2:  l32i    a0, a2, RUN_PIECES
3:  mov     a10, a15
    ee.vld.128.xp q0, a11, a8
    ee.vld.128.xp q1, a11, a9
    ee.ld.128.usar.ip q2, a10, 16
    ee.vld.128.ip q3, a10, 16
    ee.src.q.qup q4, q2, q3
    jx      a13
    products \bits, 4, 11
unaligned_i\bits\()_headed:
    loopnez a12, 4f
    ee.vld.128.ip q3, a10, 16
    ee.src.q.qup q4, q2, q3
    products \bits, 4, 11
4:  addi    a0, a0, -1
    add     a15, a15, a7
    add     a11, a11, a14
    bnez    a0, 3b
    addi    a6, a6, -1
    bnez    a6, 5f
    l32i    a6, a1, BOUNDS_AT
    drain_kept \bits
    store_and_next \bits, 1b, 1b
5:  l32i    a0, a2, RUN_X_GROUP
    add     a15, a15, a0
    l32i    a0, a2, RUN_W_GROUP
    add     a11, a11, a0
    j       2b
    .endm

    unaligned_kernel 8
    unaligned_kernel 16

    // ---- lanes that are split ----

    // Parts go on from piece to piece, unless RUN_PART_PIECES is 0. a0 groups left, a7 vectors of a piece,
    // a9 pieces left, a12 gap of the weights, a13 end of the list, a14 vectors left of the part, a15 gap of
    // the elements; a10 elements, a11 weights, of which two vectors are loaded ahead. A part that has no
    // vectors left is split off before the next vector.
    .section .text.iram.aligned_split,"ax"
    .literal .Laligned_split_rest, fixpoint_rest_masks
    .global fixpoint_aligned_split
    .p2align 2
fixpoint_aligned_split:
    enter
    enter_splits aligned_split
    l32i    a12, a2, RUN_W_GAP
    l32i    a10, a2, RUN_PART_PIECES
    l32i    a7, a2, RUN_VECTORS
    l32i    a15, a2, RUN_X_PIECE
    slli    a8, a7, 4
    sub     a15, a15, a8
    // None if there is nothing to do between pieces.
    addi    a10, a10, 1
    or      a10, a10, a12
    beqz    a10, 1f
    addi    a12, a12, -32
1:  l32i    a4, a2, RUN_PIXELS
2:  start_lanes 0
    l32i    a13, a1, LIST_BEGIN
    l32i    a14, a2, RUN_PART_VECTORS
    l32i    a11, a2, RUN_WEIGHTS
    l32i    a0, a2, RUN_GROUPS
    mov     a10, a3
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
3:  l32i    a9, a2, RUN_PIECES
4:  bltu    a14, a7, 7f
    sub     a14, a14, a7
    mov     a8, a7
5:  loopnez a8, 6f
    ee.vld.128.ip q2, a10, 16
    products 8, 2, 11
6:  addi    a9, a9, -1
    add     a10, a10, a15
    beqz    a9, 10f
    beqz    a12, 4b
    l32i    a8, a2, RUN_PART_PIECES
    add     a11, a11, a12
    and     a14, a14, a8
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    j       4b
    // The part ends before this piece or within it.
7:  mov     a8, a7
8:  sub     a6, a8, a14
    s32i    a6, a1, PIECE_REST
    loopnez a14, 9f
    ee.vld.128.ip q2, a10, 16
    products 8, 2, 11
9:  split_lanes 1
    l32i    a8, a1, PIECE_REST
    l32i    a14, a2, RUN_PART_VECTORS
    bgeu    a14, a8, 91f
    j       8b
91: sub     a14, a14, a8
    j       5b
10: beqi    a0, 1, 11f
    l32i    a8, a2, RUN_W_GROUP
    l32i    a6, a2, RUN_X_GROUP
    add     a11, a11, a8
    l32i    a8, a2, RUN_PART_PIECES
    add     a10, a10, a6
    addi    a11, a11, -32
    addi    a0, a0, -1
    and     a14, a14, a8
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    j       3b
11: join_lanes
    drain   8, 0
    store_and_next 8, 2b, 2b
    long_join

    // a0 groups left, a7 pieces before the next split, a9 pieces left, a12 where the head's products
    // begin, a13 end of the list, a14 vectors left, a15 elements of the piece; a10 elements, a11 weights.
    .section .text.iram.unaligned_split,"ax"
    .literal .Lunaligned_split_rest, fixpoint_rest_masks
    .literal .Lunaligned_split_headed, unaligned_split_headed
    .global fixpoint_unaligned_split
    .p2align 2
fixpoint_unaligned_split:
    enter
    enter_splits unaligned_split
    enter_heads unaligned_split, 12
    // As above.
    l32i    a10, a2, RUN_WEIGHTS
    l32i    a11, a2, RUN_W_GAP
    extui   a6, a6, 0, 1
    slli    a6, a6, 4
    addi    a11, a11, -32
    add     a10, a10, a6
    add     a11, a11, a6
    s32i    a10, a1, WEIGHTS
    s32i    a11, a1, W_GAP
    // A piece's first part, and what is left of it.
    l32i    a8, a2, RUN_PART_VECTORS
    l32i    a10, a2, RUN_VECTORS
    addi    a8, a8, -1
    minu    a8, a8, a10
    sub     a10, a10, a8
    s32i    a8, a1, PART_FIRST
    s32i    a10, a1, PIECE_REST
    l32i    a4, a2, RUN_PIXELS
1:  start_lanes 0
    start_splits
    l32i    a11, a1, WEIGHTS
    l32i    a0, a2, RUN_GROUPS
    mov     a15, a3
2:  l32i    a9, a2, RUN_PIECES
3:  beqz    a7, 7f
4:  addi    a7, a7, -1
    mov     a10, a15
    l32i    a14, a2, RUN_HEAD
    l32i    a8, a1, PART_FIRST
    bbsi    a14, 0, 41f
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    j       42f
41: ee.vld.128.ip q0, a11, -16
    ee.vld.128.ip q1, a11, 32
42: ee.ld.128.usar.ip q2, a10, 16
    ee.vld.128.ip q3, a10, 16
    l32i    a14, a1, PIECE_REST
    ee.src.q.qup q4, q2, q3
    jx      a12
    products 8, 4, 11
unaligned_split_headed:
    loopnez a8, 5f
    ee.vld.128.ip q3, a10, 16
    ee.src.q.qup q4, q2, q3
    products 8, 4, 11
5:  beqz    a14, 6f
    // Within the piece.
    split_lanes 0
    addi    a11, a11, -32
    addi    a10, a10, -16
    ee.vld.128.ip q0, a11, 16
    ee.ld.128.usar.ip q2, a10, 16
    ee.vld.128.ip q1, a11, 16
    l32i    a8, a2, RUN_PART_VECTORS
    minu    a8, a8, a14
    sub     a14, a14, a8
    j       unaligned_split_headed
6:  addi    a9, a9, -1
    l32i    a8, a2, RUN_X_PIECE
    l32i    a10, a1, W_GAP
    add     a15, a15, a8
    add     a11, a11, a10
    bnez    a9, 3b
    beqi    a0, 1, 8f
    l32i    a8, a2, RUN_W_GROUP
    addi    a0, a0, -1
    add     a11, a11, a8
    l32i    a8, a2, RUN_X_GROUP
    add     a15, a15, a8
    j       2b
    // Before a piece.
7:  split_lanes 0
    l32i    a7, a2, RUN_PART_PIECES
    j       4b
8:  join_lanes
    drain   8, 0
    store_and_next 8, 1b, 1b
    long_join
