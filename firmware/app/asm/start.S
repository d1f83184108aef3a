// Entry from the second-stage bootloader, on core 0. The bootloader's windowed frames are dropped:
// everything here is call0 code, so PS.WOE stays clear and no window exception can happen.

    .section .text.iram.start,"ax"
    .literal .Lvectors, _vectors
    .literal .Lstack_top, _stack_top
    .literal .Lbss_start, _bss_start
    .literal .Lbss_end, _bss_end
    .literal .Lmain, main
    .global _start
    .p2align 2
_start:
    // INTLEVEL 15, user vector mode, EXCM clear: faults are reported, interrupts never taken.
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
    // Coprocessors on: the vector unit raises an exception otherwise.
    movi    a2, 0xff
    wsr     a2, cpenable
    rsync
    l32r    a2, .Lvectors
    wsr     a2, vecbase
    rsync
    l32r    a1, .Lstack_top
    l32r    a2, .Lbss_start
    l32r    a3, .Lbss_end
    movi    a4, 0
1:  bgeu    a2, a3, 2f
    s32i    a4, a2, 0
    addi    a2, a2, 4
    j       1b
2:  movi    a0, 0
    l32r    a2, .Lmain
    callx0  a2
3:  j       3b
