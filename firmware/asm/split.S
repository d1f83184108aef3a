// Convolutions over all input channels whose lanes are split, and what split lanes need.
    .include "parts.inc"

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
2:  l32i    a8, a2, RUN_ABOVE
    s32i    a8, a1, ABOVE
    jx      a11

    // Bits 0 to 11 of each lane of 20 bits: of an image's first and second vector, and of its third.
    .section .rodata.rest,"a"
    .p2align 4
    .global fixpoint_rest_masks
fixpoint_rest_masks:
    .byte 0xff, 0x0f, 0xf0, 0xff, 0x00, 0xff, 0x0f, 0xf0, 0xff, 0x00, 0xff, 0x0f, 0xf0, 0xff, 0x00, 0xff
    .byte 0x0f, 0xf0, 0xff, 0x00, 0x0f, 0xf0, 0xff, 0x00, 0, 0, 0, 0, 0, 0, 0, 0

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
