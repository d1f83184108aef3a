// 1x1 convolutions of few output channels, on the vector unit: lanes are input channels.
    .include "parts.inc"

    // Four vectors of elements, q0 and q1 and what is loaded from a3 on, times weights in q2 to q5, to ACCX. Leaves the
    // next pixel's first two in q0 and q1; a9 is the step to it.
    .macro add_four bits
    .if \bits == 8
    ee.vmulas.s8.accx.ld.ip q0, a3, 16, q0, q2
    ee.vmulas.s8.accx.ld.xp q1, a3, a9, q1, q3
    ee.vmulas.s8.accx.ld.ip q0, a3, 16, q0, q4
    ee.vmulas.s8.accx.ld.ip q1, a3, 16, q1, q5
    .else
    ee.vmulas.s16.accx.ld.ip q0, a3, 16, q0, q2
    ee.vmulas.s16.accx.ld.xp q1, a3, a9, q1, q3
    ee.vmulas.s16.accx.ld.ip q0, a3, 16, q0, q4
    ee.vmulas.s16.accx.ld.ip q1, a3, 16, q1, q5
    .endif
    .endm

    // ACCX, which is not negative, to the next result; a0 is what it began with too much, after the shift. Another
    // instruction is between the last product and the shift.
    .macro finish bits
    add     a12, a12, a15
    ee.srs.accx a10, a6, 0
    sub     a10, a10, a0
    .if \bits == 8
    clamps  a10, a10, 7
    s8i     a10, a12, 0
    .else
    clamps  a10, a10, 15
    s16i    a10, a12, 0
    .endif
    .endm

    // The sums of all pixels so far go on by a part, in the scratch.
    .macro further_part bits
    loop    a4, 91f
    ee.ld.accx.ip a11, 0
    add_four \bits
    ee.st.accx.ip a11, 8
91:
    .endm

    // The results of all pixels: of the sums in the scratch, or \each is 0 and they begin with the bias.
    .macro last_part bits, each
    l32i    a0, a1, TOO_MUCH
    loop    a4, 92f
    ee.ld.accx.ip a11, \each
    add_four \bits
    finish  \bits
92: j       dots_next
    .endm

    // a0 parts left, a5 results of the channel, a step before, a6 shift, a7 from pixel to pixel, a8 bytes of an element,
    // a9 to the next pixel from the last vector of the part, a11 sums, a12 the last result, a13 the channel's bias, shift
    // and weights, a14 elements of the part, a15 from result to result.
    .section .text.iram.dots,"ax"
    .global fixpoint_dots
    .p2align 2
fixpoint_dots:
    save
    l32i    a6, a2, RUN_LANES
    l32i    a15, a2, RUN_Y_STEP
    l32i    a5, a2, RUN_Y
    s32i    a6, a1, ROWS_LEFT
    l32i    a13, a2, RUN_RECORD
    l32i    a4, a2, RUN_PIXELS
    l32i    a7, a2, RUN_X_STEP
    l32i    a8, a2, RUN_W_GAP
    sub     a5, a5, a15
1:  l32i    a0, a2, RUN_PIECES
    l32i    a14, a2, RUN_X
    l32i    a10, a13, 12
    l32i    a6, a13, 8
    s32i    a10, a1, TOO_MUCH
    mov     a12, a5
    add     a5, a5, a8
    mov     a11, a13
    addi    a13, a13, 16
    beqz    a0, 5f
    ee.ld.accx.ip a11, 0
    l32i    a11, a2, RUN_SCRATCH
    loop    a4, 2f
    ee.st.accx.ip a11, 8
2:  l32i    a11, a2, RUN_SCRATCH
3:  mov     a3, a14
    addi    a9, a7, -48
    ee.vld.128.ip q0, a3, 16
    ee.vld.128.ip q1, a3, 16
    ee.vld.128.ip q2, a13, 16
    ee.vld.128.ip q3, a13, 16
    ee.vld.128.ip q4, a13, 16
    ee.vld.128.ip q5, a13, 16
    beqz    a0, 6f
    addi    a14, a14, 64
    bbsi    a8, 1, 13f
    further_part 8
4:  addi    a0, a0, -1
    bnez    a0, 2b
    // The last part ends where the pixel does.
    l32i    a14, a2, RUN_X
    l32i    a10, a2, RUN_X_GROUP
    add     a14, a14, a10
    j       2b
13: further_part 16
    j       4b
5:  l32i    a10, a2, RUN_VECTORS
    beqi    a10, 4, 3b
    mov     a9, a7
    bnei    a10, 2, 8f
    // Two vectors.
    l32i    a0, a1, TOO_MUCH
    addi    a9, a9, -16
    ee.vld.128.ip q0, a14, 16
    ee.vld.128.xp q1, a14, a9
    ee.vld.128.ip q2, a13, 16
    ee.vld.128.ip q3, a13, 16
    loop    a4, 93f
    ee.ld.accx.ip a11, 0
    ee.vmulas.s8.accx.ld.ip q0, a14, 16, q0, q2
    ee.vmulas.s8.accx.ld.xp q1, a14, a9, q1, q3
    finish  8
93: j       dots_next
    // One.
8:  l32i    a0, a1, TOO_MUCH
    ee.vld.128.xp q0, a14, a9
    ee.vld.128.ip q2, a13, 16
    loop    a4, dots_next
    ee.ld.accx.ip a11, 0
    ee.vmulas.s8.accx.ld.xp q0, a14, a9, q0, q2
    finish  8
    // The next channel.
dots_next:
    l32i    a10, a1, ROWS_LEFT
    addi    a10, a10, -1
    s32i    a10, a1, ROWS_LEFT
    bnez    a10, 1b
    leave
6:  l32i    a10, a2, RUN_PIECES
    beqz    a10, 9f
    bbsi    a8, 1, 16f
    last_part 8, 8
16: last_part 16, 8
9:  last_part 8, 0
