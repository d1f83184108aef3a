// Convolutions on the vector unit. What a run is, and why the bits are those of the portable kernels,
// is in crates/vector; offsets from a2 are those of `Run`, from a7 those of `Piece`
// (crates/vector/src/unit.rs). `\bits` is 8 or 16. call0 ABI.
//
// Roles: a2 run, a3 elements of the pixel, a4 pixels left, a5 output of the pixel; q0 and q1 weights
// (even and odd products, so that what is loaded is used two instructions later), q2 to q4 elements,
// q5 the result, q6 and q7 its limits.

    // ---- parts ----

    // A whole vector of elements, q\x, times weights from a\w on, of which two vectors are loaded.
    .macro products bits, x, w
    .if \bits == 8
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    ee.vsmulas.s8.qacc.ld.incp q(\n & 1), a\w, q(\n & 1), q\x, \n
    .endr
    .else
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    ee.vsmulas.s16.qacc.ld.incp q(\n & 1), a\w, q(\n & 1), q\x, \n
    .endr
    .endif
    .endm

    // Lane by lane; the next weights are loaded to q\next.
    .macro lanes_load bits, next, w, x, weights
    .if \bits == 8
    ee.vmulas.s8.qacc.ld.ip q\next, a\w, 16, q\x, q\weights
    .else
    ee.vmulas.s16.qacc.ld.ip q\next, a\w, 16, q\x, q\weights
    .endif
    .endm

    // The lanes shifted by a\by, where the result stays, and saturated to q\to.
    .macro shifted bits, to, by
    .if \bits == 8
    ee.srcmb.s8.qacc q\to, a\by, 0
    .else
    ee.srcmb.s16.qacc q\to, a\by, 0
    .endif
    .endm

    // The lanes from an image at a\at, which is stepped behind it.
    .macro load_lanes at
    ee.ld.qacc_l.l.128.ip a\at, 16
    ee.ld.qacc_h.l.128.ip a\at, 16
    ee.ld.qacc_l.h.32.ip a\at, 4
    ee.ld.qacc_h.h.32.ip a\at, 12
    .endm

    .macro load_limits bits
    addi    a6, a2, 32
    addi    a8, a2, 34
    .if \bits == 8
    ee.vldbc.8 q6, a6
    ee.vldbc.8 q7, a8
    .else
    ee.vldbc.16 q6, a6
    ee.vldbc.16 q7, a8
    .endif
    .endm

    .macro limit bits
    .if \bits == 8
    ee.vmax.s8 q5, q5, q6
    ee.vmin.s8 q5, q5, q7
    .else
    ee.vmax.s16 q5, q5, q6
    ee.vmin.s16 q5, q5, q7
    .endif
    .endm

    // One more shift: a9 is 1, the step's mask in q4, the next one loaded.
    .macro drain_step bits, masks
    shifted \bits, 3, 9
    ee.andq q3, q3, q4
    // Bytes of which one is zero: the sum is their union.
    ee.vadds.s8.ld.incp q4, a\masks, q5, q5, q3
    .endm

    // The result to q5: first shift in a8, 1 in a9, further shifts in a10, masks at a\masks.
    .macro drain bits, masks
    ee.vld.128.ip q5, a\masks, 16
    shifted \bits, 3, 8
    ee.vld.128.ip q4, a\masks, 16
    ee.andq q5, q5, q3
    loopnez a10, 91f
    drain_step \bits, \masks
91: limit   \bits
    .endm

    .macro enter
    addi    a1, a1, -16
    s32i    a12, a1, 0
    s32i    a13, a1, 4
    s32i    a14, a1, 8
    s32i    a15, a1, 12
    .endm

    .macro leave
    l32i    a12, a1, 0
    l32i    a13, a1, 4
    l32i    a14, a1, 8
    l32i    a15, a1, 12
    addi    a1, a1, 16
    ret
    .endm

    // What a pixel of a general kernel begins with: lanes loaded, masks in a14, pieces in a7, their
    // number in a9.
    .macro pixel_start
    l32i    a14, a2, 20
    l32i    a7, a2, 12
    load_lanes 14
    l32i    a9, a2, 16
    .endm

    // The drain, and the elements stored, whole or, by a jump into the stores, one by one.
    .macro pixel_end bits, name
    l32i    a8, a2, 24
    l32i    a10, a2, 28
    movi    a9, 1
    drain   \bits, 14
    l32i    a8, a2, 48
    l32i    a12, a2, 40
    beqz    a8, 92f
    ee.vst.128.ip q5, a5, 0
    j       93f
92: l32i    a6, a2, 52
    l32i    a8, a2, 44
    ee.vst.128.ip q5, a6, 0
    // A pair has six bytes.
    l32r    a11, .L\name\()_stored
    addx2   a8, a8, a8
    slli    a8, a8, 1
    sub     a11, a11, a8
    jx      a11
    .if \bits == 8
    .irp n, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0
    l8ui    a8, a6, \n
    s8i     a8, a5, \n
    .endr
    .else
    .irp n, 14, 12, 10, 8, 6, 4, 2, 0
    l16ui   a8, a6, \n
    s16i    a8, a5, \n
    .endr
    .endif
\name\()_stored:
93:
    .endm

    // On to the next pixel, if there is one.
    .macro pixel_next again
    l32i    a8, a2, 4
    addi    a4, a4, -1
    add     a5, a5, a12
    add     a3, a3, a8
    bnez    a4, \again
    .endm

    // fixpoint_unit_on(): this core may execute vector instructions from now on.
    .section .text.unit_on,"ax"
    .global fixpoint_unit_on
    .p2align 2
fixpoint_unit_on:
    movi    a2, 0xff
    wsr     a2, cpenable
    rsync
    ret

    // ---- one piece ----

    .macro point_kernel bits
    enter
    load_limits \bits
    l32i    a6, a2, 12
    l32i    a3, a2, 0
    l32i    a7, a6, 0
    l32i    a13, a6, 4
    l32i    a12, a6, 12
    add     a3, a3, a7
    l32i    a7, a2, 4
    slli    a6, a12, 4
    sub     a7, a7, a6
    l32i    a4, a2, 8
    l32i    a5, a2, 36
    l32i    a15, a2, 40
    l32i    a8, a2, 24
    l32i    a10, a2, 28
    l32i    a14, a2, 20
    movi    a9, 1
1:  mov     a6, a14
    mov     a11, a13
    load_lanes 6
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    loopnez a12, 2f
    ee.vld.128.ip q2, a3, 16
    products \bits, 2, 11
2:  drain   \bits, 6
    add     a3, a3, a7
    addi    a4, a4, -1
    ee.vst.128.xp q5, a5, a15
    bnez    a4, 1b
    leave
    .endm

    .section .text.iram.point_i8,"ax"
    .global fixpoint_point_i8
    .p2align 2
fixpoint_point_i8:
    point_kernel 8

    .section .text.iram.point_i16,"ax"
    .global fixpoint_point_i16
    .p2align 2
fixpoint_point_i16:
    point_kernel 16

    // ---- any pieces ----

    // The lanes are split: what is above the shift goes to the list at a13.
    .macro split_lanes
    l32i    a6, a2, 52
    l32i    a8, a2, 56
    l32i    a10, a2, 60
    ee.st.qacc_l.l.128.ip a6, 16
    ee.st.qacc_h.l.128.ip a6, 16
    ee.st.qacc_l.h.32.ip a6, 4
    ee.st.qacc_h.h.32.ip a6, -36
    shifted 8, 0, 8
    ee.vst.128.ip q0, a13, 16
    .rept 3
    ee.vld.128.ip q0, a6, 0
    ee.vld.128.ip q1, a10, 16
    ee.andq q0, q0, q1
    ee.vst.128.ip q0, a6, 16
    .endr
    addi    a6, a6, -48
    load_lanes 6
    .endm

    // The sum of what was kept and of the last part, whose shift is in a8.
    .macro join_lanes
    shifted 8, 0, 8
    l32i    a6, a2, 64
    addi    a8, a2, 68
    load_lanes 6
    ee.vldbc.8 q1, a8
    l32i    a6, a2, 52
    ee.vmulas.s8.qacc q0, q1
    addi    a6, a6, 48
    sub     a8, a13, a6
    srli    a8, a8, 4
    loopnez a8, 94f
    ee.vld.128.ip q0, a6, 16
    ee.vmulas.s8.qacc q0, q1
94:
    .endm

    // `\name` is the function's, `\aligned` whether elements lie at multiples of 16.
    .macro general_kernel name, bits, aligned
    .section .text.iram.\name,"ax"
    .literal .L\name\()_stored, \name\()_stored
    .if \aligned == 0
    .literal .L\name\()_headed, \name\()_headed
    .endif
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    enter
    load_limits \bits
    l32i    a3, a2, 0
    l32i    a4, a2, 8
    l32i    a5, a2, 36
1:  pixel_start
    l32i    a13, a2, 52
    addi    a13, a13, 48
    beqz    a9, 6f
2:  l32i    a10, a7, 0
    l32i    a11, a7, 4
    l32i    a12, a7, 12
    add     a10, a10, a3
    .if \aligned
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    loopnez a12, 5f
    ee.vld.128.ip q2, a10, 16
    products \bits, 2, 11
    .else
    // The head's first product takes the weights of its own parity.
    l32i    a8, a7, 8
    bbsi    a8, 0, 3f
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    j       4f
3:  ee.vld.128.ip q1, a11, 16
    ee.vld.128.ip q0, a11, 16
4:  ee.ld.128.usar.ip q2, a10, 16
    beqz    a8, \name\()_headed
    l32r    a15, .L\name\()_headed
    slli    a8, a8, 2
    ee.vld.128.ip q3, a10, 16
    sub     a15, a15, a8
    ee.src.q.qup q4, q2, q3
    jx      a15
    products \bits, 4, 11
\name\()_headed:
    loopnez a12, 5f
    ee.vld.128.ip q3, a10, 16
    ee.src.q.qup q4, q2, q3
    products \bits, 4, 11
    .endif
5:  l32i    a12, a7, 16
    addi    a9, a9, -1
    addi    a7, a7, 20
    beqz    a12, 7f
    split_lanes
7:  bnez    a9, 2b
6:  l32i    a8, a2, 56
    beqz    a8, 8f
    join_lanes
8:  pixel_end \bits, \name
    pixel_next 1b
    leave
    .endm

    general_kernel aligned_i8, 8, 1
    general_kernel aligned_i16, 16, 1
    general_kernel unaligned_i8, 8, 0
    general_kernel unaligned_i16, 16, 0

    // ---- one filter per channel ----

    .macro depthwise_kernel name, bits, aligned
    .section .text.iram.\name,"ax"
    .literal .L\name\()_stored, \name\()_stored
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    enter
    load_limits \bits
    l32i    a3, a2, 0
    l32i    a4, a2, 8
    l32i    a5, a2, 36
    l32i    a15, a2, 72
1:  pixel_start
    beqz    a9, 4f
2:  l32i    a10, a7, 0
    l32i    a11, a7, 4
    l32i    a12, a7, 12
    add     a10, a10, a3
    ee.vld.128.ip q0, a11, 16
    loopnez a12, 3f
    .if \aligned
    ee.vld.128.xp q2, a10, a15
    lanes_load \bits, 0, 11, 2, 0
    .else
    ee.ld.128.usar.ip q2, a10, 16
    ee.vld.128.ip q3, a10, -16
    add     a10, a10, a15
    ee.src.q q4, q2, q3
    lanes_load \bits, 0, 11, 4, 0
    .endif
3:  addi    a9, a9, -1
    addi    a7, a7, 20
    bnez    a9, 2b
4:  pixel_end \bits, \name
    pixel_next 1b
    leave
    .endm

    depthwise_kernel depthwise_aligned_i8, 8, 1
    depthwise_kernel depthwise_aligned_i16, 16, 1
    depthwise_kernel depthwise_unaligned_i8, 8, 0
    depthwise_kernel depthwise_unaligned_i16, 16, 0

    // Taps in the order of memory; the steps between them are a10 (within a row), a11 (to the next
    // row) and a12 (to the next pixel). The record at a6 has everything else in the order of use.
    .macro depthwise_3x3_kernel name, bits
    .section .text.iram.\name,"ax"
    .literal .L\name\()_drained, \name\()_drained
    .global fixpoint_\name
    .p2align 2
fixpoint_\name:
    enter
    load_limits \bits
    l32i    a6, a2, 12
    l32i    a3, a2, 0
    l32i    a7, a6, 0
    l32i    a4, a2, 8
    l32i    a5, a2, 36
    add     a3, a3, a7
    l32i    a15, a2, 40
    l32i    a8, a2, 24
    l32i    a14, a2, 20
    l32i    a10, a2, 72
    l32i    a11, a2, 76
    l32i    a12, a2, 80
    movi    a9, 1
    // A step of the drain has ten bytes.
    l32i    a7, a2, 28
    l32r    a13, .L\name\()_drained
    addx4   a7, a7, a7
    slli    a7, a7, 1
    sub     a13, a13, a7
    loopnez a4, 1f
    mov     a6, a14
    load_lanes 6
    ee.vld.128.ip q0, a6, 16
    ee.vld.128.ip q1, a6, 16
    ee.vld.128.xp q2, a3, a10
    ee.vld.128.xp q3, a3, a10
    lanes_load \bits, 0, 6, 2, 0
    ee.vld.128.xp q2, a3, a11
    lanes_load \bits, 1, 6, 3, 1
    ee.vld.128.xp q3, a3, a10
    lanes_load \bits, 0, 6, 2, 0
    ee.vld.128.xp q2, a3, a10
    lanes_load \bits, 1, 6, 3, 1
    ee.vld.128.xp q3, a3, a11
    lanes_load \bits, 0, 6, 2, 0
    ee.vld.128.xp q2, a3, a10
    lanes_load \bits, 1, 6, 3, 1
    ee.vld.128.xp q3, a3, a10
    lanes_load \bits, 0, 6, 2, 0
    ee.vld.128.xp q2, a3, a12
    // From here on it is masks that are loaded.
    lanes_load \bits, 1, 6, 3, 1
    lanes_load \bits, 4, 6, 2, 0
    shifted \bits, 5, 8
    ee.andq q5, q5, q1
    jx      a13
    .rept 8
    drain_step \bits, 6
    .endr
\name\()_drained:
    limit   \bits
    ee.vst.128.xp q5, a5, a15
1:  leave
    .endm

    depthwise_3x3_kernel depthwise_3x3_i8, 8
    depthwise_3x3_kernel depthwise_3x3_i16, 16
