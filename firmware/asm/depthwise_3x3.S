// Depthwise convolutions over 3x3 taps for a rectangle of pixels whose windows are clipped alike.
    .include "blocks.inc"

    // fixpoint_sparse: as copy_bounds if the header, at a6, says which of a4 steps are there. The halves of bounds are a5 bytes
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
    addi    a6, a11, 32
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

    // fixpoint_next_3x3: on to the next block over 3x3 taps, of which a6 are left, if it can be done; else this leaves
    // the kernel. Changes a3 to a7.
    //
    // fixpoint_begin_3x3: once for a block. The weights of the first five taps go to q0 to q4, and into the scratch,
    // from a6 on, the lanes at the start, those of the others and the first bounds. The lower limit and the other bounds are in front of it, so that a6 is where it was when a drain has come to
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
    l32i    a6, a2, RUN_WEIGHTS
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
    copy_lanes
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
    lanes_load_by \bits, 6, 6, 14, 5, 7
    drain_3x3 \bits
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
