// Means of windows on the vector unit. Why the bits are those of the portable kernels is in
// crates/vector/src/means.rs; offsets from a2 are those of `Windowed`, from a15 those of `Mean`.
    .include "parts.inc"

    // a3 the window's first tap, a4 the vector's, a5 the result, a6 taps of a row, a7 and a8 their steps, a12
    // windows left, a13 vectors left, a14 whether aligned; a9 rows left, a10 row, a11 tap; q0 the tap's elements.
    .macro mean_kernel name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    addi    a1, a1, -32
    s32i    a0, a1, 0
    s32i    a12, a1, 4
    s32i    a13, a1, 8
    s32i    a14, a1, 12
    s32i    a15, a1, 16
    mov     a15, a3
    ee.vldbc.16.ip q4, a3, 2
    ee.vldbc.16.ip q6, a3, 2
    ee.vldbc.16.ip q7, a3, 2
    l32i    a3, a2, 0
    l32i    a5, a2, 4
    l32i    a7, a2, 16
    l32i    a8, a2, 24
    l32i    a12, a2, 28
    l32i    a14, a2, 44
1:  l32i    a13, a2, 8
    mov     a4, a3
2:  l32i    a9, a2, 20
    l32i    a6, a2, 12
    mov     a10, a4
    nothing_summed \bits
    bnez    a14, 6f
3:  mov     a11, a10
    loopnez a6, 4f
    ee.ld.128.usar.ip q0, a11, 16
    ee.vld.128.ip q1, a11, -16
    add     a11, a11, a7
    ee.src.q q0, q0, q1
    summed \bits
4:  addi    a9, a9, -1
    add     a10, a10, a8
    bnez    a9, 3b
    mean_\bits
    addi    a13, a13, -1
    movi    a10, 128 / \bits
    bnez    a13, 5f
    l32i    a10, a2, 36
5:  call0   fixpoint_store_i\bits
    addi    a4, a4, 16
    addi    a5, a5, 16
    bnez    a13, 2b
    l32i    a10, a2, 40
    addi    a5, a5, -16
    add     a5, a5, a10
    j       8f
6:  mov     a11, a10
    loopnez a6, 7f
    ee.vld.128.xp q0, a11, a7
    summed \bits
7:  addi    a9, a9, -1
    add     a10, a10, a8
    bnez    a9, 6b
    mean_\bits
    ee.vst.128.ip q5, a5, 16
    addi    a13, a13, -1
    addi    a4, a4, 16
    bnez    a13, 2b
8:  l32i    a10, a2, 32
    addi    a12, a12, -1
    add     a3, a3, a10
    bnez    a12, 1b
    l32i    a0, a1, 0
    l32i    a12, a1, 4
    l32i    a13, a1, 8
    l32i    a14, a1, 12
    l32i    a15, a1, 16
    addi    a1, a1, 32
    ret
    .endm

    // Bytes are summed in 16 bits, the low half of the channels in q2 and the high one in q3; halfwords in
    // the lanes.
    .macro nothing_summed bits
    .if \bits == 8
    ee.zero.q q2
    ee.zero.q q3
    ee.zero.q q5
    .else
    ee.zero.qacc
    .endif
    .endm

    // With a byte of its sign each byte has 16 bits.
    .macro summed bits
    .if \bits == 8
    ee.vcmp.lt.s8 q1, q0, q5
    ee.vzip.8 q0, q1
    ee.vadds.s16 q2, q2, q0
    ee.vadds.s16 q3, q3, q1
    .else
    ee.vmulas.s16.qacc q0, q4
    .endif
    .endm

    // The means to q5. Changes a6, a11.
    .macro mean_8
    l32i    a6, a15, 16
    addi    a11, a15, 6
    reciprocal_8 5, 2
    reciprocal_8 3, 3
    ee.vldbc.16.ip q0, a11, 2
    ee.vldbc.16.ip q1, a11, 2
    ee.vmax.s16 q5, q5, q0
    ee.vmax.s16 q3, q3, q0
    ee.vmin.s16 q5, q5, q1
    ee.vmin.s16 q3, q3, q1
    // The low bytes.
    ee.vunzip.8 q5, q3
    .endm

    .macro reciprocal_8 to, from
    ee.zero.qacc
    ee.vmulas.s16.qacc q6, q7
    ee.vmulas.s16.qacc q\from, q4
    ee.srcmb.s16.qacc q\to, a6, 0
    .endm

    // What is below the stack is free: there are no interrupts.
    .macro mean_16
    addi    a6, a1, -48
    store_lanes 6
    l32i    a11, a15, 16
    ee.srcmb.s16.qacc q1, a11, 0
    ee.zero.qacc
    ee.vmulas.s16.qacc q1, q6
    l32i    a11, a15, 20
    ee.srcmb.s16.qacc q5, a11, 0
    load_lanes 6, 4
    ee.vmulas.s16.qacc q5, q7
    movi    a11, 0
    addi    a6, a15, 6
    ee.srcmb.s16.qacc q1, a11, 0
    ee.vldbc.16.ip q2, a6, 2
    ee.vcmp.lt.s16 q3, q1, q2
    ee.vadds.s16 q5, q5, q3
    .rept 4
    ee.vldbc.16.ip q2, a6, 2
    ee.vcmp.gt.s16 q3, q1, q2
    ee.vsubs.s16 q5, q5, q3
    .endr
    .endm

    mean_kernel mean_i8, 8
    mean_kernel mean_i16, 16
