// Entry from QEMU's loader on machine `sim`, and the calls to its semihosting.

    .section .text.iram.start,"ax"
    .literal .Lvectors, _vectors
    .literal .Lstack_top, _stack_top
    .literal .Lmain, main
    .global _start
    .p2align 2
_start:
    // As on the chip: EXCM clear, without which loop instructions would not loop, and no windows.
    movi    a2, 0x2f
    wsr     a2, ps
    rsync
    movi    a2, 0
    wsr     a2, intenable
    wsr     a2, windowbase
    rsync
    movi    a2, 1
    wsr     a2, windowstart
    rsync
    l32r    a2, .Lvectors
    wsr     a2, vecbase
    rsync
    l32r    a1, .Lstack_top
    movi    a0, 0
    l32r    a2, .Lmain
    callx0  a2

    // semihost_write(bytes: *const u8, length: u32): to standard output.
    .section .text.semihost_write,"ax"
    .global semihost_write
    .p2align 2
semihost_write:
    mov     a5, a3
    mov     a4, a2
    movi    a3, 1
    movi    a2, 4
    .byte   0x00, 0x51, 0x00        // simcall
    ret

    // semihost_exit(code: u32) -> !
    .section .text.semihost_exit,"ax"
    .global semihost_exit
    .p2align 2
semihost_exit:
    mov     a3, a2
    movi    a2, 1
    .byte   0x00, 0x51, 0x00        // simcall
1:  j       1b

    // semihost_mark(): a call that only the project's own tests know.
    .section .text.semihost_mark,"ax"
    .global semihost_mark
    .p2align 2
semihost_mark:
    movi    a2, 100
    .byte   0x00, 0x51, 0x00        // simcall
    ret
