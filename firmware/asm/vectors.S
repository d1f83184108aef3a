// The vector table, in the order of the cores' configurations: the ESP32-S3's and, for the vectors
// that can be reached, the dc233c's (VECBASE is 1 KiB aligned).
// Nothing here returns: every entry ends in a report on the console and a restart.

    .section .text.iram.vectors,"ax"
    .global _vectors
    .p2align 10
_vectors:

    .macro  vector offset, level
    .org    \offset
    movi    a2, \level
    j       exception_entry
    .endm

    // Window overflow and underflow: unused in call0 code, so coming here is a fault too.
    vector  0x000, 0x100
    vector  0x040, 0x101
    vector  0x080, 0x102
    vector  0x0C0, 0x103
    vector  0x100, 0x104
    vector  0x140, 0x105
    // Interrupt levels 2 to 5, debug, NMI.
    vector  0x180, 2
    vector  0x1C0, 3
    vector  0x200, 4
    vector  0x240, 5
    vector  0x280, 6
    vector  0x2C0, 7
    // Exceptions: kernel mode, user mode, double.
    vector  0x300, 0
    vector  0x340, 1
    vector  0x3C0, 8
    .org    0x400

    // Behind its literals, so in a section of its own.
    .section .text.iram.exception_entry,"ax"
    .literal .Lpanic_stack, _panic_stack_top
    .literal .Lsecond_stack, _second_stack_top
    .literal .Lreport, exception_report
    .p2align 2
exception_entry:
    mov     a7, a0
    mov     a6, a1
    l32r    a1, .Lpanic_stack
    // Core 1 ends its stack: both may be here at once, and it doesn't return.
    rsr     a3, prid
    bbci    a3, 13, 1f
    l32r    a1, .Lsecond_stack
1:  rsr     a3, exccause
    rsr     a4, epc1
    rsr     a5, excvaddr
    // EXCM clear again, so that a fault inside the report is one more exception and not a double.
    movi    a0, 0x2f
    wsr     a0, ps
    rsync
    movi    a0, 0
    l32r    a8, .Lreport
    callx0  a8
2:  j       2b
