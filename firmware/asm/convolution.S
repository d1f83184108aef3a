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

    // ---- one piece ----

    // a0 further shifts, a7 from the last vector to the next pixel, a8 first shift, a9 1, a12 vectors but the last,
    // a13 weights, a14 record, a15 step of the output. The last vector's last products load the next pixel's first
    // weights. With \halves results are stored half by half, a15 is from the second half on, or if there is none, the
    // negative step. With \eights a piece is the head of eight elements.
    .macro point_kernel name, bits, halves=0, eights=0
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    save
    l32i    a7, a2, RUN_X_STEP
    l32i    a15, a2, RUN_Y_STEP
    l32i    a13, a2, RUN_WEIGHTS
    l32i    a14, a2, RUN_RECORD
    .if \eights == 0
    l32i    a12, a2, RUN_VECTORS
    addi    a12, a12, -1
    slli    a6, a12, 4
    sub     a7, a7, a6
    .endif
    .if \halves
    l32i    a6, a2, RUN_LANES
    addi    a15, a15, -8
    bnei    a6, 8, 1f
    addi    a15, a15, 8
    neg     a15, a15
1:
    .endif
    movi    a9, 1
    addi    a6, a14, -HEADER
1:  l32i    a10, a6, 0
    addi    a6, a6, HEADER + BOUNDS
    extui   a0, a10, 8, 8
    extui   a8, a10, 0, 7
    ee.vld.128.ip q6, a6, 16
    ee.vld.128.ip q7, a6, 16
    mov     a11, a13
    l32i    a6, a2, RUN_ROWS
    l32i    a3, a2, RUN_X
    l32i    a5, a2, RUN_Y
    s32i    a6, a1, ROWS_LEFT
    l32i    a4, a2, RUN_PIXELS
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    .if \eights
    addi    a3, a3, 8
    .endif
2:  mov     a6, a14
    load_lanes 6, 44
    .if \eights
    ee.vld.h.64.xp q2, a3, a7
    .irp n, 8, 9, 10, 11, 12, 13
    ee.vsmulas.s8.qacc.ld.incp q(\n & 1), a11, q(\n & 1), q2, \n
    .endr
    .else
    loopnez a12, 3f
    ee.vld.128.ip q2, a3, 16
    products \bits, 2, 11
3:  ee.vld.128.xp q2, a3, a7
    .if \bits == 8
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
    ee.vsmulas.s8.qacc.ld.incp q(\n & 1), a11, q(\n & 1), q2, \n
    .endr
    .else
    .irp n, 0, 1, 2, 3, 4, 5
    ee.vsmulas.s16.qacc.ld.incp q(\n & 1), a11, q(\n & 1), q2, \n
    .endr
    .endif
    .endif
    mov     a11, a13
    .if \bits == 8
    ee.vsmulas.s8.qacc.ld.incp q0, a11, q0, q2, 14
    ee.vsmulas.s8.qacc.ld.incp q1, a11, q1, q2, 15
    .else
    ee.vsmulas.s16.qacc.ld.incp q0, a11, q0, q2, 6
    ee.vsmulas.s16.qacc.ld.incp q1, a11, q1, q2, 7
    .endif
    shifted \bits, 3, 8
    least_load \bits, 4, 5, 3, 6
    greatest \bits, 7
    loopnez a0, 4f
    drain_step \bits, 9, 4, 3
4:  addi    a4, a4, -1
    .if \halves
    bltz    a15, 6f
    ee.vst.l.64.ip q5, a5, 8
    ee.vst.h.64.xp q5, a5, a15
7:
    .else
    ee.vst.128.xp q5, a5, a15
    .endif
    bnez    a4, 2b
    next_row 2b
    // The next block, if its lanes aren't split and the record holds the bounds.
    l32i    a10, a2, RUN_BLOCKS
    l32i    a6, a2, RUN_RECORD_STEP
    l32i    a4, a2, RUN_MOST_SPARSE
    addi    a10, a10, -1
    s32i    a10, a2, RUN_BLOCKS
    beqz    a10, 5f
    add     a14, a14, a6
    addi    a6, a14, -HEADER
    l32i    a10, a6, 0
    srli    a10, a10, 8
    bltu    a4, a10, 5f
    l32i    a10, a2, RUN_W_GAP
    l32i    a5, a2, RUN_Y
    add     a13, a13, a10
    addi    a5, a5, 16
    s32i    a5, a2, RUN_Y
    j       1b
5:  leave
    .if \halves
6:  neg     a10, a15
    ee.vst.l.64.xp q5, a5, a10
    j       7b
    .endif
    .endm

    point_kernel point_i8, 8
    point_kernel point_i16, 16
    point_kernel point_halves, 8, 1
    point_kernel point_eights, 8, 1, 1

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
    load_lanes 6, 12
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

    // ---- three pieces of nine elements: 3x3 taps of three channels ----

    // The elements of a piece, of which the last nine count, times weights from a11 on, the first in q\a, the
    // second in q\b; a3 steps by a\step from the second vector on.
    .macro nine a, b, step
    ee.ld.128.usar.ip q2, a3, 16
    ee.vld.128.xp q3, a3, a\step
    ee.src.q q4, q2, q3
    ee.vsmulas.s8.qacc.ld.incp q\a, a11, q\a, q4, 7
    ee.vsmulas.s8.qacc.ld.incp q\b, a11, q\b, q4, 8
    ee.vsmulas.s8.qacc.ld.incp q\a, a11, q\a, q4, 9
    ee.vsmulas.s8.qacc.ld.incp q\b, a11, q\b, q4, 10
    ee.vsmulas.s8.qacc.ld.incp q\a, a11, q\a, q4, 11
    ee.vsmulas.s8.qacc.ld.incp q\b, a11, q\b, q4, 12
    ee.vsmulas.s8.qacc.ld.incp q\a, a11, q\a, q4, 13
    ee.vsmulas.s8.qacc.ld.incp q\b, a11, q\b, q4, 14
    ee.vsmulas.s8.qacc.ld.incp q\a, a11, q\a, q4, 15
    .endm

    // a0 more shifts, a7 to the next piece, a8 first shift, a9 1, a12 step of the output, or its negative if
    // eight bytes are stored, a13 weights, a14 record, a15 to the next pixel.
    .section .text.iram.nines,"ax"
    .global fixpoint_nines
    .p2align 2
fixpoint_nines:
    enter
    enter_bounds
    l32i    a7, a2, RUN_X_PIECE
    l32i    a15, a2, RUN_X_STEP
    l32i    a12, a2, RUN_WHOLE
    l32i    a13, a2, RUN_WEIGHTS
    l32i    a14, a2, RUN_RECORD
    l32i    a8, a2, RUN_FIRST_SHIFT
    l32i    a0, a2, RUN_MORE_SHIFTS
    l32i    a4, a2, RUN_PIXELS
    sub     a15, a15, a7
    sub     a15, a15, a7
    addi    a15, a15, -16
    addi    a7, a7, -16
    movi    a9, 1
1:  mov     a6, a14
    load_lanes 6, 44
    mov     a11, a13
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    nine    0, 1, 7
    nine    1, 0, 7
    nine    0, 1, 15
    shifted 8, 3, 8
    least_load 8, 4, 5, 3, 6
    greatest 8, 7
    loopnez a0, 2f
    drain_step 8, 9, 4, 3
2:  bltz    a12, 4f
    ee.vst.128.xp q5, a5, a12
3:  addi    a4, a4, -1
    bnez    a4, 1b
    next_row 1b
    leave
4:  neg     a6, a12
    ee.vst.l.64.xp q5, a5, a6
    j       3b
