// Depthwise convolutions over 3x3 taps whose rows are copied to a ring of three.
    .include "blocks.inc"

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
    copy_lanes
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
    // pixel, and a15 where lanes are stored.
    .macro depthwise_3x3_ring_kernel name, bits, halves
    .section .text.iram.\name,"ax"
    .literal .L\name\()_drained, \name\()_drained
    .if \halves == 0
    .literal .L\name\()_16, \name\()_16
    .literal .L\name\()_12, \name\()_12
    .literal .L\name\()_8, \name\()_8
    .literal .L\name\()_4, \name\()_4
    .literal .L\name\()_some, \name\()_some
    .endif
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    save
    .if \halves == 0
    l32i    a4, a2, RUN_WHOLE
    .irp bytes, 16, 12, 8, 4
    l32r    a15, .L\name\()_\bytes
    beqi    a4, \bytes, 4f
    .endr
    l32r    a15, .L\name\()_some
4:  s32i    a15, a1, STORES
    .endif
4:  l32r    a13, .L\name\()_drained
    call0   fixpoint_begin_ring
1:  call0   fixpoint_ring
    mov     a0, a7
    .if \halves
    l32i    a15, a2, RUN_X_TAP
    .else
    l32i    a15, a1, STORES
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
    drain_3x3 \bits
\name\()_drained:
    .if \halves
    ee.vst.h.64.xp q5, a5, a15
    ee.vst.l.64.xp q5, a5, a7
    .else
    jx      a15
    // The core stores words at any address.
\name\()_16:
    ee.movi.32.a q5, a4, 3
    ee.movi.32.a q5, a10, 2
    s32i    a4, a5, 12
    s32i    a10, a5, 8
\name\()_8:
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
\name\()_12:
    ee.movi.32.a q5, a4, 2
    s32i    a4, a5, 8
    j       \name\()_8
\name\()_4:
    ee.movi.32.a q5, a10, 0
    s32i    a10, a5, 0
    j       3b
    // Less than whole words.
\name\()_some:
    mov     a4, a6
    s32i    a11, a1, ELEMENTS_STEP
    s32i    a0, a1, LINK
    l32i    a10, a2, RUN_WHOLE
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
