// Element-wise operations on the vector unit. What a stretch is, and why the bits are those of the
// portable kernels, is in crates/vector/src/elements.rs; offsets from a2 are those of `Stretch`.
// `\bits` is 8 or 16. call0 ABI; a2 to a9 and q0 to q7 are changed.
    .include "parts.inc"

    // Factors to q2 and q3, what makes the rounding constant to q4 and q5, limits to q6 and q7; operands
    // at a3 and a4, the result at a5, vectors in a7, shift in a8.
    .macro stretch bits
    .irp n, 2, 3, 4, 5, 6, 7
    addi    a6, a2, 16 + 2 * \n
    .if \bits == 8
    ee.vldbc.8 q\n, a6
    .else
    ee.vldbc.16 q\n, a6
    .endif
    .endr
    l32i    a3, a2, 0
    l32i    a4, a2, 4
    l32i    a5, a2, 8
    l32i    a7, a2, 12
    l32i    a8, a2, 16
    .endm

    // The lanes begin with the rounding constant; operands to q0 and q1.
    .macro operands bits
    ee.zero.qacc
    .if \bits == 8
    ee.vmulas.s8.qacc.ld.ip q0, a3, 16, q4, q5
    .else
    ee.vmulas.s16.qacc.ld.ip q0, a3, 16, q4, q5
    .endif
    ee.vld.128.ip q1, a4, 16
    .endm

    .macro result bits
    .if \bits == 8
    ee.srcmb.s8.qacc q0, a8, 0
    .else
    ee.srcmb.s16.qacc q0, a8, 0
    .endif
    limited \bits
    .endm

    .macro limited bits
    .if \bits == 8
    ee.vmax.s8 q0, q0, q6
    ee.vmin.s8 q0, q0, q7
    .else
    ee.vmax.s16 q0, q0, q6
    ee.vmin.s16 q0, q0, q7
    .endif
    ee.vst.128.ip q0, a5, 16
    .endm

    .macro sum_kernel name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    stretch \bits
    loopnez a7, 1f
    operands \bits
    lanes   \bits, 0, 2
    lanes   \bits, 1, 3
    result  \bits
1:  ret
    .endm

    .macro largest bits, so_far, x
    .if \bits == 8
    ee.vmax.s8 q\so_far, q\so_far, q\x
    .else
    ee.vmax.s16 q\so_far, q\so_far, q\x
    .endif
    .endm

    sum_kernel sum_i8, 8
    sum_kernel sum_i16, 16

    .macro product_kernel name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    stretch \bits
    loopnez a7, 1f
    operands \bits
    lanes   \bits, 0, 1
    result  \bits
1:  ret
    .endm

    product_kernel product_i8, 8
    product_kernel product_i16, 16

    // The larger of the two, or the smaller if a3 isn't zero.
    .macro extreme_kernel name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    mov     a9, a3
    stretch \bits
    loopnez a7, 1f
    scaled  \bits, 0, 3, 2
    scaled  \bits, 1, 4, 3
    bnez    a9, 2f
    largest \bits, 0, 1
    j       3f
2:  .if \bits == 8
    ee.vmin.s8 q0, q0, q1
    .else
    ee.vmin.s16 q0, q0, q1
    .endif
3:  limited \bits
1:  ret
    .endm

    // An operand to q\x, times its factor, rounded and shifted.
    .macro scaled bits, x, from, w
    ee.zero.qacc
    .if \bits == 8
    ee.vmulas.s8.qacc.ld.ip q\x, a\from, 16, q4, q5
    .else
    ee.vmulas.s16.qacc.ld.ip q\x, a\from, 16, q4, q5
    .endif
    lanes   \bits, \x, \w
    .if \bits == 8
    ee.srcmb.s8.qacc q\x, a8, 0
    .else
    ee.srcmb.s16.qacc q\x, a8, 0
    .endif
    .endm

    extreme_kernel extreme_i8, 8
    extreme_kernel extreme_i16, 16

    // The elements of a vector's channels, pixel after pixel: offsets from a2 are those of `Column`
    // (crates/vector/src/pixels.rs).
    .macro pixels_kernel name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    l32i    a3, a2, 48
    l32i    a4, a2, 52
    l32i    a5, a2, 56
    addi    a6, a2, 60
    .if \bits == 8
    ee.vldbc.8 q1, a6
    .else
    ee.vldbc.16 q1, a6
    .endif
    ee.zero.qacc
    loopnez a5, 1f
    ee.ld.128.usar.ip q2, a3, 16
    ee.vld.128.ip q3, a3, -16
    add     a3, a3, a4
    ee.src.q q4, q2, q3
    lanes   \bits, 4, 1
1:  ee.st.qacc_l.l.128.ip a2, 16
    ee.st.qacc_h.l.128.ip a2, 16
    ee.st.qacc_l.h.32.ip a2, 4
    ee.st.qacc_h.h.32.ip a2, 4
    ret
    .endm

    pixels_kernel pixels_i8, 8
    pixels_kernel pixels_i16, 16

    // The largest elements of windows, vector after vector of a pixel: offsets from a2 are those of
    // `Windowed` (crates/vector/src/pixels.rs). a3 the window's first tap, a4 the vector's, a5 the result,
    // a6 taps of a row, a7 and a8 their steps, a12 windows left, a13 vectors left, a14 whether aligned; a9
    // rows left, a10 row, a11 tap; q5 the largest so far.
    .macro max_kernel name, bits
    .section .text.iram.\name,"ax"
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    addi    a1, a1, -16
    s32i    a0, a1, 0
    s32i    a12, a1, 4
    s32i    a13, a1, 8
    s32i    a14, a1, 12
    l32i    a3, a2, 0
    l32i    a5, a2, 4
    l32i    a6, a2, 12
    l32i    a7, a2, 16
    l32i    a8, a2, 24
    l32i    a12, a2, 28
    l32i    a14, a2, 44
1:  l32i    a13, a2, 8
    mov     a4, a3
2:  l32i    a9, a2, 20
    mov     a10, a4
    // The first tap is its own largest so far.
    ee.ld.128.usar.ip q2, a10, 16
    ee.vld.128.ip q3, a10, -16
    ee.src.q q5, q2, q3
    bnez    a14, 6f
3:  mov     a11, a10
    loopnez a6, 4f
    ee.ld.128.usar.ip q2, a11, 16
    ee.vld.128.ip q3, a11, -16
    add     a11, a11, a7
    ee.src.q q1, q2, q3
    largest \bits, 5, 1
4:  addi    a9, a9, -1
    add     a10, a10, a8
    bnez    a9, 3b
    addi    a13, a13, -1
    movi    a10, 128 / \bits
    bnez    a13, 5f
    l32i    a10, a2, 36
5:  call0   fixpoint_store_i\bits
    l32i    a6, a2, 12
    addi    a4, a4, 16
    addi    a5, a5, 16
    bnez    a13, 2b
    l32i    a10, a2, 40
    addi    a5, a5, -16
    add     a5, a5, a10
    j       8f
6:  mov     a11, a10
    loopnez a6, 7f
    ee.vld.128.xp q1, a11, a7
    largest \bits, 5, 1
7:  addi    a9, a9, -1
    add     a10, a10, a8
    bnez    a9, 6b
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
    addi    a1, a1, 16
    ret
    .endm

    max_kernel max_i8, 8
    max_kernel max_i16, 16

    // fixpoint_lookup_i8(x, table, y, vectors, spread): each entry becomes two words of four of it, which are loaded
    // by an index into lanes; twice the byte with its sign turned over, which counts from the least. Espressif's QEMU
    // loads the word in front of the one that the manual and a chip load: so that it doesn't matter, it is the same.
    .section .text.iram.lookup_i8,"ax"
    .literal .Lsigns, 0x80808080
    .global fixpoint_lookup_i8
    .p2align 2
    nop.n
fixpoint_lookup_i8:
    l32r    a8, .Lsigns
    mov     a7, a6
    .irp n, 0, 1, 2, 3
    ee.movi.32.q q6, a8, \n
    .endr
    movi    a8, 16
    loopnez a8, 1f
    ee.vld.128.ip q0, a3, 0
    ee.vld.128.ip q1, a3, 16
    ee.vzip.8 q0, q1
    ee.orq  q2, q0, q0
    ee.orq  q3, q1, q1
    ee.vzip.16 q0, q2
    ee.vzip.16 q1, q3
    .irp n, 0, 2, 1, 3
    ee.orq  q4, q\n, q\n
    ee.vzip.32 q\n, q4
    ee.vst.128.ip q\n, a7, 16
    ee.vst.128.ip q4, a7, 16
    .endr
1:  addi    a6, a6, 4
    loopnez a5, 2f
    ee.vld.128.ip q0, a2, 16
    ee.zero.q q1
    ee.xorq q0, q0, q6
    ee.vzip.8 q0, q1
    ee.vadds.s16 q0, q0, q0
    ee.vadds.s16 q1, q1, q1
    .irp n, 0, 1, 2, 3
    ee.ldxq.32 q2, q0, a6, \n, \n
    ee.ldxq.32 q3, q0, a6, \n, (\n + 4)
    ee.ldxq.32 q4, q1, a6, \n, \n
    ee.ldxq.32 q5, q1, a6, \n, (\n + 4)
    .endr
    ee.vunzip.8 q2, q3
    ee.vunzip.8 q4, q5
    ee.vunzip.8 q2, q4
    ee.vst.128.ip q2, a4, 16
2:  ret

    // What lies between two entries, times the distance; then that by the step, rounded by half of it in a6, and the
    // entry.
    .macro between x, low, high
    sub     \high, \high, \low
    mull    \high, \high, \x
    .endm
    .macro towards low, high
    add     \high, \high, a6
    sra     \high, \high
    add     \low, \low, \high
    .endm

    // fixpoint_lookup_i16(x, table, y, count, step_bits): from one entry on, by the distance to it, towards the next;
    // two elements at a time, whose loads are used an instruction later. What is added to an entry is rounded by
    // itself, as the entry is a whole number.
    .section .text.iram.lookup_i16,"ax"
    .global fixpoint_lookup_i16
    .p2align 2
fixpoint_lookup_i16:
    addi    a1, a1, -16
    s32i    a12, a1, 0
    s32i    a13, a1, 4
    s32i    a14, a1, 8
    // The entry for 0 in a3; the step's mask, and its half.
    movi    a9, 1
    ssl     a6
    sll     a10, a9
    slli    a9, a9, 15
    ssr     a6
    srl     a9, a9
    addx2   a3, a9, a3
    addi    a12, a10, -1
    srli    a6, a10, 1
    srli    a9, a5, 1
    loopnez a9, 1f
    l16si   a7, a2, 0
    l16si   a10, a2, 2
    addi    a2, a2, 4
    sra     a8, a7
    sra     a11, a10
    addx2   a8, a8, a3
    addx2   a11, a11, a3
    l16si   a13, a8, 0
    l16si   a14, a8, 2
    and     a7, a7, a12
    and     a10, a10, a12
    between a7, a13, a14
    l16si   a8, a11, 2
    l16si   a11, a11, 0
    towards a13, a14
    between a10, a11, a8
    s16i    a13, a4, 0
    towards a11, a8
    s16i    a11, a4, 2
    addi    a4, a4, 4
1:  bbci    a5, 0, 2f
    l16si   a7, a2, 0
    sra     a8, a7
    addx2   a8, a8, a3
    l16si   a13, a8, 0
    l16si   a14, a8, 2
    and     a7, a7, a12
    between a7, a13, a14
    towards a13, a14
    s16i    a13, a4, 0
2:  l32i    a12, a1, 0
    l32i    a13, a1, 4
    l32i    a14, a1, 8
    addi    a1, a1, 16
    ret
