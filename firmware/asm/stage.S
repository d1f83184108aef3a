// Copies of input in front of kernels, and zeros.
    .include "parts.inc"

    // fixpoint_staged: copies what `Staging` in crates/vector says, which is at a6. Changes a3 to a8, a10, a11.
    .section .text.iram.stage,"ax"
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
    beqz    a7, 5f
    bltz    a11, 8f
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
    // In halves.
8:  mov     a11, a8
    l32i    a8, a6, 20
    addi    a5, a5, -8
3:  loopnez a10, 4f
    ee.vld.l.64.ip q0, a3, 8
    ee.vld.h.64.xp q0, a3, a5
    ee.vst.128.ip q0, a4, 16
4:  add     a3, a3, a8
    add     a4, a4, a11
    addi    a7, a7, -1
    bnez    a7, 3b
    ret

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
