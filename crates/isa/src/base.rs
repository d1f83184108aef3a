//! The base instruction set, as the ESP32-S3's cores are configured: density, loops, 16- and 32-bit
//! multiplication, division, extension, extremes, normalization, conditional store, windows,
//! exceptions. Opcodes: Xtensa ISA Reference Manual, chapter 7.
//!
//! A line gives the name, the opcode with zeros for operands, the operands and the class; length and
//! mask follow from these.

use crate::format::*;
use crate::table::families;

families! {
    /// Register to register, one cycle.
    Arithmetic {
        Add "add" 0x80_0000 RRR Arithmetic;
        Addx2 "addx2" 0x90_0000 RRR Arithmetic;
        Addx4 "addx4" 0xA0_0000 RRR Arithmetic;
        Addx8 "addx8" 0xB0_0000 RRR Arithmetic;
        Sub "sub" 0xC0_0000 RRR Arithmetic;
        Subx2 "subx2" 0xD0_0000 RRR Arithmetic;
        Subx4 "subx4" 0xE0_0000 RRR Arithmetic;
        Subx8 "subx8" 0xF0_0000 RRR Arithmetic;
        And "and" 0x10_0000 RRR Arithmetic;
        Or "or" 0x20_0000 RRR Arithmetic;
        Xor "xor" 0x30_0000 RRR Arithmetic;
        Neg "neg" 0x60_0000 RR_RT Arithmetic;
        Abs "abs" 0x60_0100 RR_RT Arithmetic;
        Addi "addi" 0x00_C002 ADDI Arithmetic;
        Addmi "addmi" 0x00_D002 ADDMI Arithmetic;
        Movi "movi" 0x00_A002 MOVI Arithmetic;
        AddN "add.n" 0x000A RRR Arithmetic;
        AddiN "addi.n" 0x000B ADDI_NARROW Arithmetic;
        MovN "mov.n" 0x000D RR_TS Arithmetic;
        MoviN "movi.n" 0x000C MOVI_NARROW Arithmetic;
        Extui "extui" 0x04_0000 EXTUI Arithmetic;
        Sext "sext" 0x23_0000 SIGN_BIT Arithmetic;
        Clamps "clamps" 0x33_0000 SIGN_BIT Arithmetic;
        Min "min" 0x43_0000 RRR Arithmetic;
        Max "max" 0x53_0000 RRR Arithmetic;
        Minu "minu" 0x63_0000 RRR Arithmetic;
        Maxu "maxu" 0x73_0000 RRR Arithmetic;
        Moveqz "moveqz" 0x83_0000 RRR Arithmetic;
        Movnez "movnez" 0x93_0000 RRR Arithmetic;
        Movltz "movltz" 0xA3_0000 RRR Arithmetic;
        Movgez "movgez" 0xB3_0000 RRR Arithmetic;
        Nsa "nsa" 0x40_E000 RR_TS Arithmetic;
        Nsau "nsau" 0x40_F000 RR_TS Arithmetic;
        Nop "nop" 0x00_20F0 NONE Arithmetic;
        NopN "nop.n" 0xF03D NONE Arithmetic;
    }
    /// Shifts, and the shift amount register.
    Shift {
        Slli "slli" 0x01_0000 SLLI Arithmetic;
        Srai "srai" 0x21_0000 SRAI Arithmetic;
        Srli "srli" 0x41_0000 SRLI Arithmetic;
        Src "src" 0x81_0000 RRR Arithmetic;
        Srl "srl" 0x91_0000 RR_RT Arithmetic;
        Sll "sll" 0xA1_0000 RR_ST Arithmetic;
        Sra "sra" 0xB1_0000 RR_RT Arithmetic;
        Ssr "ssr" 0x40_0000 R_S Arithmetic;
        Ssl "ssl" 0x40_1000 R_S Arithmetic;
        Ssa8l "ssa8l" 0x40_2000 R_S Arithmetic;
        Ssa8b "ssa8b" 0x40_3000 R_S Arithmetic;
        Ssai "ssai" 0x40_4000 SSAI Arithmetic;
    }
    /// Products and quotients.
    Multiply {
        Mul16u "mul16u" 0xC1_0000 RRR Multiply;
        Mul16s "mul16s" 0xD1_0000 RRR Multiply;
        Mull "mull" 0x82_0000 RRR Multiply;
        Muluh "muluh" 0xA2_0000 RRR Multiply;
        Mulsh "mulsh" 0xB2_0000 RRR Multiply;
        Quou "quou" 0xC2_0000 RRR Divide;
        Quos "quos" 0xD2_0000 RRR Divide;
        Remu "remu" 0xE2_0000 RRR Divide;
        Rems "rems" 0xF2_0000 RRR Divide;
    }
    /// Branches, jumps, calls without windows.
    Branch {
        Bnone "bnone" 0x00_0007 BRANCH Branch;
        Beq "beq" 0x00_1007 BRANCH Branch;
        Blt "blt" 0x00_2007 BRANCH Branch;
        Bltu "bltu" 0x00_3007 BRANCH Branch;
        Ball "ball" 0x00_4007 BRANCH Branch;
        Bbc "bbc" 0x00_5007 BRANCH Branch;
        Bbci "bbci" 0x00_6007 BRANCH_BIT Branch;
        Bany "bany" 0x00_8007 BRANCH Branch;
        Bne "bne" 0x00_9007 BRANCH Branch;
        Bge "bge" 0x00_A007 BRANCH Branch;
        Bgeu "bgeu" 0x00_B007 BRANCH Branch;
        Bnall "bnall" 0x00_C007 BRANCH Branch;
        Bbs "bbs" 0x00_D007 BRANCH Branch;
        Bbsi "bbsi" 0x00_E007 BRANCH_BIT Branch;
        Beqz "beqz" 0x00_0016 BRANCH_ZERO Branch;
        Bnez "bnez" 0x00_0056 BRANCH_ZERO Branch;
        Bltz "bltz" 0x00_0096 BRANCH_ZERO Branch;
        Bgez "bgez" 0x00_00D6 BRANCH_ZERO Branch;
        Beqi "beqi" 0x00_0026 BRANCH_CONST Branch;
        Bnei "bnei" 0x00_0066 BRANCH_CONST Branch;
        Blti "blti" 0x00_00A6 BRANCH_CONST Branch;
        Bgei "bgei" 0x00_00E6 BRANCH_CONST Branch;
        Bltui "bltui" 0x00_00B6 BRANCH_CONSTU Branch;
        Bgeui "bgeui" 0x00_00F6 BRANCH_CONSTU Branch;
        BeqzN "beqz.n" 0x008C BRANCH_NARROW Branch;
        BnezN "bnez.n" 0x00CC BRANCH_NARROW Branch;
        J "j" 0x00_0006 JUMP Jump;
        Jx "jx" 0x00_00A0 R_S Jump;
        Call0 "call0" 0x00_0005 CALL Jump;
        Callx0 "callx0" 0x00_00C0 R_S Jump;
        Ret "ret" 0x00_0080 NONE Jump;
        RetN "ret.n" 0xF00D NONE Jump;
    }
    /// Zero-overhead loops.
    Loop {
        Loop "loop" 0x00_8076 LOOP_END Loop;
        Loopnez "loopnez" 0x00_9076 LOOP_END Loop;
        Loopgtz "loopgtz" 0x00_A076 LOOP_END Loop;
    }
    /// Loads, stores, and what they need of the cache.
    Memory {
        L8ui "l8ui" 0x00_0002 LOAD8 Load;
        L16ui "l16ui" 0x00_1002 LOAD16 Load;
        L16si "l16si" 0x00_9002 LOAD16 Load;
        L32i "l32i" 0x00_2002 LOAD32 Load;
        L32ai "l32ai" 0x00_B002 LOAD32 Load;
        L32iN "l32i.n" 0x0008 LOAD32_NARROW Load;
        L32r "l32r" 0x00_0001 LITERAL Load;
        S8i "s8i" 0x00_4002 LOAD8 Store;
        S16i "s16i" 0x00_5002 LOAD16 Store;
        S32i "s32i" 0x00_6002 LOAD32 Store;
        S32ri "s32ri" 0x00_F002 LOAD32 Store;
        S32iN "s32i.n" 0x0009 LOAD32_NARROW Store;
        S32c1i "s32c1i" 0x00_E002 LOAD32 Store;
        Dpfr "dpfr" 0x00_7002 CACHE Special;
        Dpfw "dpfw" 0x00_7012 CACHE Special;
        Dpfro "dpfro" 0x00_7022 CACHE Special;
        Dpfwo "dpfwo" 0x00_7032 CACHE Special;
        Dhwb "dhwb" 0x00_7042 CACHE Special;
        Dhwbi "dhwbi" 0x00_7052 CACHE Special;
        Dhi "dhi" 0x00_7062 CACHE Special;
        Dii "dii" 0x00_7072 CACHE Special;
        Ipf "ipf" 0x00_70C2 CACHE Special;
        Ihi "ihi" 0x00_70E2 CACHE Special;
        Iii "iii" 0x00_70F2 CACHE Special;
        Memw "memw" 0x00_20C0 NONE Special;
        Extw "extw" 0x00_20D0 NONE Special;
    }
    /// Registers of the machine, synchronization, exceptions.
    Special {
        Rsr "rsr" 0x03_0000 SPECIAL Special;
        Wsr "wsr" 0x13_0000 SPECIAL Special;
        Xsr "xsr" 0x61_0000 SPECIAL Special;
        Rur "rur" 0xE3_0000 USER_READ Special;
        Wur "wur" 0xF3_0000 USER_WRITE Special;
        Isync "isync" 0x00_2000 NONE Special;
        Rsync "rsync" 0x00_2010 NONE Special;
        Esync "esync" 0x00_2020 NONE Special;
        Dsync "dsync" 0x00_2030 NONE Special;
        Excw "excw" 0x00_2080 NONE Special;
        Rsil "rsil" 0x00_6000 RSIL Special;
        Waiti "waiti" 0x00_7000 LEVEL Special;
        Rfe "rfe" 0x00_3000 NONE Special;
        Rfde "rfde" 0x00_3200 NONE Special;
        Rfi "rfi" 0x00_3010 LEVEL Special;
        Ill "ill" 0x00_0000 NONE Special;
        IllN "ill.n" 0xF06D NONE Special;
        Syscall "syscall" 0x00_5000 NONE Special;
        Simcall "simcall" 0x00_5100 NONE Special;
        Break "break" 0x00_4000 BREAK Special;
        BreakN "break.n" 0xF02D LEVEL Special;
        Rer "rer" 0x40_6000 RR_TS Special;
        Wer "wer" 0x40_7000 RR_TS Special;
    }
    /// The windowed register option: decoded so that it can be named, not executed.
    Window {
        Entry "entry" 0x00_0036 ENTRY Jump;
        Call4 "call4" 0x00_0015 CALL Jump;
        Call8 "call8" 0x00_0025 CALL Jump;
        Call12 "call12" 0x00_0035 CALL Jump;
        Callx4 "callx4" 0x00_00D0 R_S Jump;
        Callx8 "callx8" 0x00_00E0 R_S Jump;
        Callx12 "callx12" 0x00_00F0 R_S Jump;
        Retw "retw" 0x00_0090 NONE Jump;
        RetwN "retw.n" 0xF01D NONE Jump;
        Movsp "movsp" 0x00_1000 RR_TS Arithmetic;
        Rotw "rotw" 0x40_8000 ROTW Special;
        L32e "l32e" 0x09_0000 LOAD32_BACK Load;
        S32e "s32e" 0x49_0000 LOAD32_BACK Store;
        Rfwo "rfwo" 0x00_3400 NONE Special;
        Rfwu "rfwu" 0x00_3500 NONE Special;
    }
}
