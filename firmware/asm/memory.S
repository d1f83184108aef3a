// What compilers call to copy and to fill memory, to multiply and to divide: smaller than compiler_builtins', and loops
// without branches where there is much to do. call0 ABI. Only whole words at multiples of four are touched but for the
// ends, as not every memory and machine has others.

    // memcpy(to, from, count) and where it goes forwards memmove(to, from, count); a2 stays.
    .section .text.memcpy,"ax"
    .global memcpy
    .global memmove
    .p2align 2
memmove:
    sub     a5, a2, a3
    bgeu    a5, a4, memcpy
    // The target lies behind its source and in it: backwards.
    add     a6, a2, a4
    add     a3, a3, a4
    or      a5, a6, a3
    extui   a5, a5, 0, 2
    bnez    a5, 1f
    srli    a7, a4, 2
    extui   a4, a4, 0, 2
    loopnez a7, 1f
    addi    a3, a3, -4
    l32i    a5, a3, 0
    addi    a6, a6, -4
    s32i    a5, a6, 0
1:  loopnez a4, 2f
    addi    a3, a3, -1
    l8ui    a5, a3, 0
    addi    a6, a6, -1
    s8i     a5, a6, 0
2:  ret

    .p2align 2
memcpy:
    // What compilers copy most: words at multiples of four.
    or      a5, a2, a3
    or      a5, a5, a4
    extui   a5, a5, 0, 2
    mov     a6, a2
    bnez    a5, 6f
    srli    a7, a4, 4
    loopnez a7, 7f
    l32i    a5, a3, 0
    l32i    a8, a3, 4
    l32i    a9, a3, 8
    l32i    a10, a3, 12
    addi    a3, a3, 16
    s32i    a5, a6, 0
    s32i    a8, a6, 4
    s32i    a9, a6, 8
    s32i    a10, a6, 12
    addi    a6, a6, 16
7:  extui   a4, a4, 2, 2
    loopnez a4, 5f
    l32i    a5, a3, 0
    addi    a3, a3, 4
    s32i    a5, a6, 0
    addi    a6, a6, 4
5:  ret
6:  bltui   a4, 8, 4f
    // Bytes up to the target's first whole word.
    neg     a7, a2
    extui   a7, a7, 0, 2
    sub     a4, a4, a7
    loopnez a7, 1f
    l8ui    a5, a3, 0
    addi    a3, a3, 1
    s8i     a5, a6, 0
    addi    a6, a6, 1
1:  extui   a5, a3, 0, 2
    srli    a7, a4, 3
    bnez    a5, 3f
    loopnez a7, 2f
    l32i    a5, a3, 0
    l32i    a8, a3, 4
    addi    a3, a3, 8
    s32i    a5, a6, 0
    s32i    a8, a6, 4
    addi    a6, a6, 8
2:  bbci    a4, 2, 21f
    l32i    a5, a3, 0
    addi    a3, a3, 4
    s32i    a5, a6, 0
    addi    a6, a6, 4
21: extui   a4, a4, 0, 2
    j       4f
    // Each from two words of the source.
3:  srli    a7, a4, 2
    extui   a4, a4, 0, 2
    ssa8l   a3
    sub     a3, a3, a5
    l32i    a8, a3, 0
    loopnez a7, 31f
    l32i    a9, a3, 4
    addi    a3, a3, 4
    src     a10, a9, a8
    s32i    a10, a6, 0
    addi    a6, a6, 4
    mov     a8, a9
31: add     a3, a3, a5
4:  loopnez a4, 5f
    l8ui    a5, a3, 0
    addi    a3, a3, 1
    s8i     a5, a6, 0
    addi    a6, a6, 1
5:  ret

    // memset(to, byte, count); a2 stays.
    .section .text.memset,"ax"
    .global memset
    .p2align 2
memset:
    mov     a6, a2
    bltui   a4, 8, 2f
    neg     a7, a2
    extui   a7, a7, 0, 2
    sub     a4, a4, a7
    loopnez a7, 1f
    s8i     a3, a6, 0
    addi    a6, a6, 1
1:  extui   a3, a3, 0, 8
    slli    a5, a3, 8
    or      a3, a3, a5
    slli    a5, a3, 16
    or      a3, a3, a5
    srli    a7, a4, 2
    extui   a4, a4, 0, 2
    loopnez a7, 2f
    s32i    a3, a6, 0
    addi    a6, a6, 4
2:  loopnez a4, 3f
    s8i     a3, a6, 0
    addi    a6, a6, 1
3:  ret

    // __muldi3(a, b), of 64 bits each: for machines that have no upper half of a product, with short ways
    // for factors that fit sixteen bits.
    .section .text.__muldi3,"ax"
    .global __muldi3
    .p2align 2
__muldi3:
    mull    a5, a5, a2
    mull    a3, a3, a4
    extui   a6, a2, 16, 16
    extui   a7, a4, 16, 16
    add     a3, a3, a5
    or      a5, a6, a7
    bnez    a5, 1f
    mull    a2, a2, a4
    ret
    // (a6 2^16 + a8) (a7 2^16 + a9)
1:  extui   a8, a2, 0, 16
    extui   a9, a4, 0, 16
    mull    a2, a2, a4
    mull    a5, a6, a7
    mull    a6, a6, a9
    mull    a7, a7, a8
    mull    a8, a8, a9
    add     a3, a3, a5
    extui   a8, a8, 16, 16
    add     a6, a6, a8
    extui   a8, a6, 16, 16
    extui   a6, a6, 0, 16
    add     a3, a3, a8
    add     a7, a7, a6
    extui   a7, a7, 16, 16
    add     a3, a3, a7
    ret

    // __udivdi3(a, b), of 64 bits each, b not 0: bit by bit, as little is divided so. What is left of a's upper bits is
    // in a7 and a6.
    .section .text.__udivdi3,"ax"
    .global __udivdi3
    .p2align 2
__udivdi3:
    movi    a6, 0
    movi    a7, 0
    movi    a8, 64
    ssai    31
    movi    a9, 0
    loop    a8, 4f
    src     a7, a7, a6
    src     a6, a6, a3
    src     a3, a3, a2
    slli    a2, a2, 1
    bltz    a9, 1f
    bltu    a7, a5, 3f
    bne     a7, a5, 1f
    bltu    a6, a4, 3f
1:  sub     a7, a7, a5
    bgeu    a6, a4, 2f
    addi    a7, a7, -1
2:  sub     a6, a6, a4
    addi    a2, a2, 1
    // What a7 will have been; to branch behind it would leave the loop.
3:  mov     a9, a7
4:  ret
