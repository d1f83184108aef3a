// Entry from the second-stage bootloader on core 0, and from the mask ROM on core 1. The windowed frames
// of both are dropped: everything here is call0 code, so PS.WOE stays clear and no window exception can
// happen.

    .macro  own_state
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
    .endm

    .section .text.iram.start,"ax"
    .literal .Lvectors, _vectors
    .literal .Lstack_top, _stack_top
    .literal .Lbss_start, _bss_start
    .literal .Lbss_end, _bss_end
    .literal .Lmain, main
    .global _start
    .p2align 2
_start:
    own_state
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

    // Core 1 tells that it is there by ending what core 0 has put into the mailbox for it, and then does
    // what it finds there, for ever. While it waits it touches nothing but internal RAM: core 0 changes
    // what is in flash, and what of it is mapped.
    .literal .Lsecond_stack_top, _second_stack_top
    .literal .Lmailbox, second_mailbox
    .global second_start
    .p2align 2
second_start:
    own_state
    l32r    a1, .Lsecond_stack_top
    l32r    a12, .Lmailbox
4:  movi    a2, 0
    memw                        // what the job stored comes before its end
    s32i    a2, a12, 0
    // The nops leave the memory to core 0 most of the time.
5:  nop
    nop
    nop
    nop
    memw
    l32i    a3, a12, 0
    beqz    a3, 5b
    memw
    l32i    a2, a12, 4
    callx0  a3
    j       4b

    // second_give(function: u32, argument: u32): what core 1 is to call next. It must be idle.
    .section .text.second_give,"ax"
    .literal .Lmailbox_to_give, second_mailbox
    .global second_give
    .p2align 2
second_give:
    l32r    a4, .Lmailbox_to_give
    s32i    a3, a4, 4
    memw                        // the argument, and all that it leads to, comes before the function
    s32i    a2, a4, 0
    memw
    ret

    // second_works() -> u32: not 0 while core 1 has something to do.
    .section .text.second_works,"ax"
    .literal .Lmailbox_to_look_at, second_mailbox
    .global second_works
    .p2align 2
second_works:
    l32r    a2, .Lmailbox_to_look_at
    memw
    l32i    a2, a2, 0
    memw                        // what core 1 stored is read after this
    ret

    // The function that core 1 is to call, 0 if there is none, and its argument.
    .section .bss.second_mailbox,"aw",@nobits
    .global second_mailbox
    .p2align 4
second_mailbox:
    .space  16
