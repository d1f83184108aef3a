//! What single instructions do: values that can be checked by hand, beside what went in.

use fixpoint_emulator::cpu::Ps;
use fixpoint_emulator::sim::{End, Sim};
use fixpoint_emulator::{Cause, Stop, Trap};
use fixpoint_isa::{Arithmetic, Branch, Instruction, Loop, Memory, Op, Special, assemble};

const CODE: u32 = 0x1000;
const DATA: u32 = 0x4000;
const VECTORS: u32 = 0x2000;
/// `break 0, 0`: where a program here ends.
const BREAK: [u8; 3] = [0x00, 0x40, 0x00];

fn machine(code: &[Instruction]) -> Sim {
    let mut sim = Sim::new(0x8000, CODE);
    let mut bytes = Vec::new();
    for instruction in code {
        let encoded = instruction.encode().expect("operands that fit");
        bytes.extend(&encoded[..usize::from(instruction.length)]);
    }
    bytes.extend(BREAK);
    sim.memory.place(CODE, &bytes).expect("room");
    for vector in (0..0x400).step_by(0x40) {
        sim.memory.place(VECTORS + vector, &BREAK).expect("room");
    }
    sim.core.cpu.vecbase = VECTORS;
    sim.core.cpu.ps = Ps(0x2F);
    sim
}

/// Runs to a `break`, and tells where that is.
fn run(sim: &mut Sim) -> u32 {
    match sim.run(10_000) {
        End::Stopped(Stop {
            pc,
            trap: Trap::Break,
        }) => pc,
        end => panic!("{end}"),
    }
}

/// `a2` after one line, with `a3` and `a4` as given and `a2` 0x2222.
fn result(line: &str, a3: u32, a4: u32) -> u32 {
    let mut sim = machine(&[assemble(line).expect(line)]);
    sim.core.cpu.a[2..5].copy_from_slice(&[0x2222, a3, a4]);
    run(&mut sim);
    sim.core.cpu.a[2]
}

#[test]
fn arithmetic() {
    const MIN: u32 = 0x8000_0000;
    for (line, a3, a4, expected) in [
        ("add a2, a3, a4", 0xFFFF_FFFF, 2, 1),
        ("add.n a2, a3, a4", 3, 4, 7),
        ("addx2 a2, a3, a4", 0xC000_0001, 1, 0x8000_0003),
        ("addx4 a2, a3, a4", 5, 7, 27),
        ("addx8 a2, a3, a4", 5, 7, 47),
        ("sub a2, a3, a4", 1, 2, 0xFFFF_FFFF),
        ("subx2 a2, a3, a4", 5, 7, 3),
        ("subx4 a2, a3, a4", 5, 7, 13),
        ("subx8 a2, a3, a4", 5, 7, 33),
        ("and a2, a3, a4", 0xFF00_FF00, 0x0FF0_0FF0, 0x0F00_0F00),
        ("or a2, a3, a4", 0xFF00_FF00, 0x0FF0_0FF0, 0xFFF0_FFF0),
        ("xor a2, a3, a4", 0xFF00_FF00, 0x0FF0_0FF0, 0xF0F0_F0F0),
        ("neg a2, a3", 1, 0, 0xFFFF_FFFF),
        ("neg a2, a3", MIN, 0, MIN),
        ("abs a2, a3", 0xFFFF_FFFB, 0, 5),
        ("abs a2, a3", MIN, 0, MIN),
        ("addi a2, a3, -128", 100, 0, 0xFFFF_FFE4),
        ("addi a2, a3, 127", 0xFFFF_FFFF, 0, 126),
        ("addmi a2, a3, -32768", 0x1_0000, 0, 0x8000),
        ("addmi a2, a3, 32512", 1, 0, 0x7F01),
        ("addi.n a2, a3, -1", 0, 0, 0xFFFF_FFFF),
        ("addi.n a2, a3, 15", 1, 0, 16),
        ("movi a2, -2048", 0, 0, 0xFFFF_F800),
        ("movi a2, 2047", 0, 0, 2047),
        ("movi.n a2, -32", 0, 0, 0xFFFF_FFE0),
        ("movi.n a2, 95", 0, 0, 95),
        ("mov.n a2, a3", 0xDEAD_BEEF, 0, 0xDEAD_BEEF),
        ("extui a2, a3, 0, 16", 0xDEAD_BEEF, 0, 0xBEEF),
        ("extui a2, a3, 31, 16", 0xDEAD_BEEF, 0, 1),
        ("extui a2, a3, 4, 8", 0x0000_0ABC, 0, 0xAB),
        ("sext a2, a3, 7", 0x0000_0180, 0, 0xFFFF_FF80),
        ("sext a2, a3, 7", 0xFFFF_FF7F, 0, 0x7F),
        ("sext a2, a3, 22", 0x0040_0000, 0, 0xFFC0_0000),
        ("clamps a2, a3, 7", 128, 0, 127),
        ("clamps a2, a3, 7", 0xFFFF_FF00, 0, 0xFFFF_FF80),
        ("clamps a2, a3, 22", 0x0040_0000, 0, 0x003F_FFFF),
        ("min a2, a3, a4", 0xFFFF_FFFF, 1, 0xFFFF_FFFF),
        ("max a2, a3, a4", 0xFFFF_FFFF, 1, 1),
        ("minu a2, a3, a4", 0xFFFF_FFFF, 1, 1),
        ("maxu a2, a3, a4", 0xFFFF_FFFF, 1, 0xFFFF_FFFF),
        ("moveqz a2, a3, a4", 9, 0, 9),
        ("moveqz a2, a3, a4", 9, 1, 0x2222),
        ("movnez a2, a3, a4", 9, 1, 9),
        ("movnez a2, a3, a4", 9, 0, 0x2222),
        ("movltz a2, a3, a4", 9, MIN, 9),
        ("movltz a2, a3, a4", 9, 0, 0x2222),
        ("movgez a2, a3, a4", 9, 0, 9),
        ("movgez a2, a3, a4", 9, MIN, 0x2222),
        ("nsa a2, a3", 0, 0, 31),
        ("nsa a2, a3", 0xFFFF_FFFF, 0, 31),
        ("nsa a2, a3", 1, 0, 30),
        ("nsa a2, a3", MIN, 0, 0),
        ("nsau a2, a3", 0, 0, 32),
        ("nsau a2, a3", 1, 0, 31),
        ("nsau a2, a3", MIN, 0, 0),
        ("nop", 0, 0, 0x2222),
    ] {
        assert_eq!(result(line, a3, a4), expected, "{line} {a3:#x} {a4:#x}");
    }
}

#[test]
fn products_and_quotients() {
    const MIN: u32 = 0x8000_0000;
    for (line, a3, a4, expected) in [
        ("mul16u a2, a3, a4", 0xFFFF_FFFF, 0x1_FFFF, 0xFFFE_0001),
        ("mul16s a2, a3, a4", 0xFFFF, 0x7FFF, 0xFFFF_8001),
        ("mull a2, a3, a4", 0x1_0001, 0x1_0001, 0x2_0001),
        ("muluh a2, a3, a4", 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFE),
        ("mulsh a2, a3, a4", 0xFFFF_FFFF, 0xFFFF_FFFF, 0),
        ("mulsh a2, a3, a4", MIN, MIN, 0x4000_0000),
        ("mulsh a2, a3, a4", MIN, 2, 0xFFFF_FFFF),
        ("quou a2, a3, a4", 0xFFFF_FFFF, 2, 0x7FFF_FFFF),
        ("quos a2, a3, a4", 0xFFFF_FFF9, 2, 0xFFFF_FFFD),
        ("quos a2, a3, a4", MIN, 0xFFFF_FFFF, MIN),
        ("remu a2, a3, a4", 0xFFFF_FFFF, 10, 5),
        ("rems a2, a3, a4", 0xFFFF_FFF9, 2, 0xFFFF_FFFF),
        ("rems a2, a3, a4", 7, 0xFFFF_FFFE, 1),
        ("rems a2, a3, a4", MIN, 0xFFFF_FFFF, 0),
    ] {
        assert_eq!(result(line, a3, a4), expected, "{line} {a3:#x} {a4:#x}");
    }
}

#[test]
fn shifts() {
    for (lines, a3, a4, expected) in [
        (&["slli a2, a3, 1"][..], 0xC000_0001, 0, 0x8000_0002),
        (&["slli a2, a3, 31"], 3, 0, 0x8000_0000),
        (&["srai a2, a3, 31"], 0x8000_0000, 0, 0xFFFF_FFFF),
        (&["srai a2, a3, 4"], 0x7000_0000, 0, 0x0700_0000),
        (&["srli a2, a3, 15"], 0x8000_0000, 0, 0x1_0000),
        (&["ssr a4", "srl a2, a3"], 0x8000_0000, 31, 1),
        (&["ssr a4", "srl a2, a3"], 0x8000_0001, 32, 0x8000_0001),
        (&["ssr a4", "sra a2, a3"], 0x8000_0000, 4, 0xF800_0000),
        (&["ssl a4", "sll a2, a3"], 1, 31, 0x8000_0000),
        (&["ssl a4", "sll a2, a3"], 0xABCD, 0, 0xABCD),
        (&["ssai 4", "src a2, a3, a4"], 0x1, 0x2345_6789, 0x1234_5678),
        (&["ssai 31", "src a2, a3, a4"], 0x1, 0x8000_0000, 3),
        (&["ssa8l a4", "srl a2, a3"], 0xAABB_CCDD, 2, 0xAABB),
        (&["ssa8b a4", "sll a2, a3"], 0xAABB_CCDD, 1, 0xBBCC_DD00),
    ] {
        let code: Vec<_> = lines.iter().map(|l| assemble(l).expect(l)).collect();
        let mut sim = machine(&code);
        sim.core.cpu.a[3..5].copy_from_slice(&[a3, a4]);
        run(&mut sim);
        assert_eq!(sim.core.cpu.a[2], expected, "{lines:?} {a3:#x} {a4:#x}");
    }
}

fn branch(op: Branch, reg: [u8; 2], imm: &[i32]) -> Instruction {
    let op = Op::Branch(op);
    let mut instruction = Instruction {
        op,
        length: op.row().length,
        reg: [0; 7],
        imm: [0; 3],
    };
    instruction.reg[..2].copy_from_slice(&reg);
    instruction.imm[..imm.len()].copy_from_slice(imm);
    instruction
}

/// Whether a branch over one `movi.n` jumps.
fn jumps(op: Branch, constant: Option<i32>, a3: u32, a4: u32) -> bool {
    let over = i32::from(Op::Branch(op).row().length) + 2;
    let imm: Vec<i32> = constant.into_iter().chain([over]).collect();
    let skipped = assemble("movi.n a2, 1").expect("a line");
    let mut sim = machine(&[branch(op, [3, 4], &imm), skipped]);
    sim.core.cpu.a[3..5].copy_from_slice(&[a3, a4]);
    run(&mut sim);
    sim.core.cpu.a[2] == 0
}

#[test]
fn branches() {
    use Branch as B;
    const M: u32 = 0xFFFF_FFFF;
    for (op, a3, a4, taken) in [
        (B::Beq, 5, 5, true),
        (B::Beq, 5, 6, false),
        (B::Bne, 5, 6, true),
        (B::Bne, 5, 5, false),
        (B::Blt, M, 0, true),
        (B::Blt, 0, 0, false),
        (B::Bge, 0, M, true),
        (B::Bge, M, 0, false),
        (B::Bltu, 0, M, true),
        (B::Bltu, M, 0, false),
        (B::Bgeu, M, 0, true),
        (B::Bgeu, 0, M, false),
        (B::Bany, 0xF0, 0x10, true),
        (B::Bany, 0xF0, 0x0F, false),
        (B::Bnone, 0xF0, 0x0F, true),
        (B::Bnone, 0xF0, 0x1F, false),
        (B::Ball, 0xF0, 0x30, true),
        (B::Ball, 0xF0, 0x31, false),
        (B::Bnall, 0xF0, 0x31, true),
        (B::Bnall, 0xF0, 0x30, false),
        (B::Bbs, 0x10, 4, true),
        (B::Bbs, 0x10, 36, true),
        (B::Bbs, 0x10, 5, false),
        (B::Bbc, 0x10, 5, true),
        (B::Bbc, 0x10, 4, false),
        (B::Beqz, 0, 9, true),
        (B::Beqz, 1, 9, false),
        (B::Bnez, 1, 9, true),
        (B::Bnez, 0, 9, false),
        (B::Bltz, M, 9, true),
        (B::Bltz, 0, 9, false),
        (B::Bgez, 0, 9, true),
        (B::Bgez, M, 9, false),
        (B::BeqzN, 0, 9, true),
        (B::BeqzN, 1, 9, false),
        (B::BnezN, 1, 9, true),
        (B::BnezN, 0, 9, false),
    ] {
        assert_eq!(jumps(op, None, a3, a4), taken, "{op:?} {a3:#x} {a4:#x}");
    }
    for (op, constant, a3, taken) in [
        (B::Beqi, -1, M, true),
        (B::Beqi, 256, 255, false),
        (B::Bnei, 10, 9, true),
        (B::Bnei, 12, 12, false),
        (B::Blti, -1, 0xFFFF_FFFE, true),
        (B::Blti, 1, 1, false),
        (B::Bgei, 1, 1, true),
        (B::Bgei, 1, M, false),
        (B::Bltui, 32768, 32767, true),
        (B::Bltui, 65536, M, false),
        (B::Bgeui, 65536, 65536, true),
        (B::Bgeui, 2, 1, false),
        (B::Bbsi, 31, 0x8000_0000, true),
        (B::Bbsi, 30, 0x8000_0000, false),
        (B::Bbci, 0, 2, true),
        (B::Bbci, 1, 2, false),
    ] {
        assert_eq!(
            jumps(op, Some(constant), a3, 0),
            taken,
            "{op:?} {constant} {a3:#x}"
        );
    }
}

#[test]
fn calls_and_returns() {
    // call0 over a break to a function that returns.
    let mut sim = Sim::new(0x8000, CODE);
    let call = branch(Branch::Call0, [0, 0], &[8]).encode().expect("fits");
    sim.memory.place(CODE, &call[..3]).expect("room");
    sim.memory.place(CODE + 3, &BREAK).expect("room");
    let body = [0x2C, 0xA3, 0x0D, 0xF0]; // movi.n a3, 42; ret.n
    sim.memory.place(CODE + 8, &body).expect("room");
    assert_eq!(run(&mut sim), CODE + 3);
    assert_eq!(sim.core.cpu.a[0], CODE + 3);
    assert_eq!(sim.core.cpu.a[3], 42);

    let mut sim = machine(&[assemble("callx0 a5").expect("a line")]);
    sim.core.cpu.a[5] = DATA;
    sim.memory.place(DATA, &[0x80, 0x00, 0x00]).expect("room"); // ret
    assert_eq!(run(&mut sim), CODE + 3);
}

#[test]
fn loops_go_round_as_often_as_they_say() {
    for (op, count, rounds) in [
        (Loop::Loop, 1, 1),
        (Loop::Loop, 5, 5),
        (Loop::Loopnez, 0, 0),
        (Loop::Loopnez, 100, 100),
        (Loop::Loopgtz, 0, 0),
        (Loop::Loopgtz, 0xFFFF_FFFF, 0),
        (Loop::Loopgtz, 3, 3),
    ] {
        let op = Op::Loop(op);
        let mut start = Instruction {
            op,
            length: 3,
            reg: [0; 7],
            imm: [0; 3],
        };
        start.reg[0] = 3;
        start.imm[0] = 3 + 2 + 2;
        let body = ["addi.n a2, a2, 1", "add.n a4, a4, a2"].map(|l| assemble(l).expect(l));
        let mut sim = machine(&[start, body[0], body[1]]);
        sim.core.cpu.a[3] = count;
        run(&mut sim);
        assert_eq!(sim.core.cpu.a[2], rounds, "{op:?} {count}");
        assert_eq!(sim.core.cpu.a[4], rounds * (rounds + 1) / 2);
    }
}

#[test]
fn loads_and_stores() {
    let bytes = [0x80, 0xFF, 0x34, 0x12, 0x78, 0x56, 0xBC, 0x9A];
    for (line, expected) in [
        ("l8ui a2, a3, 0", 0x80),
        ("l8ui a2, a3, 7", 0x9A),
        ("l16ui a2, a3, 0", 0xFF80),
        ("l16si a2, a3, 0", 0xFFFF_FF80),
        ("l16si a2, a3, 2", 0x1234),
        ("l32i a2, a3, 4", 0x9ABC_5678),
        ("l32i.n a2, a3, 0", 0x1234_FF80),
        ("l32ai a2, a3, 4", 0x9ABC_5678),
    ] {
        let mut sim = machine(&[assemble(line).expect(line)]);
        sim.memory.place(DATA, &bytes).expect("room");
        sim.core.cpu.a[3] = DATA;
        run(&mut sim);
        assert_eq!(sim.core.cpu.a[2], expected, "{line}");
    }
    for (line, expected) in [
        ("s8i a2, a3, 1", [0, 0xDD, 0, 0, 0, 0, 0, 0]),
        ("s16i a2, a3, 2", [0, 0, 0xDD, 0xCC, 0, 0, 0, 0]),
        ("s32i a2, a3, 4", [0, 0, 0, 0, 0xDD, 0xCC, 0xBB, 0xAA]),
        ("s32i.n a2, a3, 0", [0xDD, 0xCC, 0xBB, 0xAA, 0, 0, 0, 0]),
        ("s32ri a2, a3, 0", [0xDD, 0xCC, 0xBB, 0xAA, 0, 0, 0, 0]),
    ] {
        let mut sim = machine(&[assemble(line).expect(line)]);
        sim.core.cpu.a[2..4].copy_from_slice(&[0xAABB_CCDD, DATA]);
        run(&mut sim);
        assert_eq!(sim.memory.get(DATA, 8), Some(&expected[..]), "{line}");
    }
    // A literal lies before the code, at most 256 KiB.
    let mut literal = machine(&[Instruction {
        op: Op::Memory(Memory::L32r),
        length: 3,
        reg: [2, 0, 0, 0, 0, 0, 0],
        imm: [-16, 0, 0],
    }]);
    literal
        .memory
        .place(CODE - 16, &[1, 2, 3, 4])
        .expect("room");
    run(&mut literal);
    assert_eq!(literal.core.cpu.a[2], 0x0403_0201);
}

#[test]
fn compare_and_store() {
    for (compare, after) in [(7, 99), (8, 7)] {
        let mut sim =
            machine(&["wsr a4, scompare1", "s32c1i a2, a3, 4"].map(|l| assemble(l).expect(l)));
        sim.memory.place(DATA + 4, &[7]).expect("room");
        sim.core.cpu.a[2..5].copy_from_slice(&[99, DATA, compare]);
        run(&mut sim);
        assert_eq!(sim.core.cpu.a[2], 7);
        assert_eq!(sim.memory.get(DATA + 4, 1), Some(&[after][..]));
    }
}

#[test]
fn exceptions_go_to_their_vectors() {
    let none = None;
    for (line, a3, unaligned, cause, address) in [
        ("ill", 0, true, Cause::IllegalInstruction, none),
        ("syscall", 0, true, Cause::Syscall, none),
        ("quou a2, a3, a3", 0, true, Cause::IntegerDivideByZero, none),
        ("rems a2, a3, a3", 0, true, Cause::IntegerDivideByZero, none),
        (
            "l32i a2, a3, 0",
            DATA + 1,
            false,
            Cause::LoadStoreAlignment,
            Some(DATA + 1),
        ),
        (
            "s16i a2, a3, 0",
            DATA + 1,
            false,
            Cause::LoadStoreAlignment,
            Some(DATA + 1),
        ),
        (
            "l32ai a2, a3, 0",
            DATA + 2,
            true,
            Cause::LoadStoreAlignment,
            Some(DATA + 2),
        ),
        ("ee.zero.q q0", 0, true, Cause::Coprocessor3Disabled, none),
    ] {
        let mut sim = machine(&["movi.n a9, 1", line].map(|l| assemble(l).expect(l)));
        sim.core.cpu.a[3] = a3;
        sim.core.cpu.unaligned = unaligned;
        // User vector.
        assert_eq!(run(&mut sim), VECTORS + 0x340, "{line}");
        let cpu = &sim.core.cpu;
        assert_eq!(
            (cpu.exccause, cpu.epc[1]),
            (cause as u32, CODE + 2),
            "{line}"
        );
        assert!(cpu.ps.excm());
        if let Some(address) = address {
            assert_eq!(cpu.excvaddr, address, "{line}");
        }
        // Once more inside the handler is a double exception.
        sim.core.cpu.pc = CODE;
        assert_eq!(run(&mut sim), VECTORS + 0x3C0, "{line}");
        assert_eq!(sim.core.cpu.epc[0], CODE + 2);
    }
    let mut sim = machine(&[assemble("ill").expect("a line")]);
    sim.core.cpu.ps = Ps(0);
    assert_eq!(run(&mut sim), VECTORS + 0x300, "kernel vector");
}

#[test]
fn special_registers_and_interrupt_levels() {
    let lines = [
        "movi a3, 99",
        "wsr a3, excsave1",
        "movi a3, 5",
        "xsr a3, excsave1",
        "rsr a4, excsave1",
        "rsil a5, 3",
        "rsr a6, ps",
        "wsr a6, sar",
        "rsr a7, sar",
    ];
    let mut code = lines.map(|line| assemble(line).expect(line)).to_vec();
    // THREADPTR is user register 231.
    for (op, register) in [(Special::Wur, 3), (Special::Rur, 8)] {
        code.push(Instruction {
            op: Op::Special(op),
            length: 3,
            reg: [register, 231, 0, 0, 0, 0, 0],
            imm: [0; 3],
        });
    }
    let mut sim = machine(&code);
    run(&mut sim);
    let a = sim.core.cpu.a;
    assert_eq!((a[3], a[4]), (99, 5));
    assert_eq!((a[5], a[6]), (0x2F, 0x23));
    assert_eq!((a[7], a[8]), (0x23, 99));
}

#[test]
fn the_cycle_counter_counts_and_a_timer_interrupts() {
    // Timer 0's interrupt, number 6, is of level 1.
    let lines = [
        "rsr a3, ccount",
        "addi a3, a3, 100",
        "wsr a3, ccompare0",
        "movi a4, 64",
        "wsr a4, intenable",
        "rsil a5, 0",
    ];
    let mut code = lines.map(|l| assemble(l).expect(l)).to_vec();
    // Round and round, until it comes.
    code.push(branch(Branch::J, [0, 0], &[0]));
    let mut sim = machine(&code);
    let length = 3 * lines.len();
    assert_eq!(run(&mut sim), VECTORS + 0x340);
    assert_eq!(sim.core.cpu.exccause, Cause::Level1Interrupt as u32);
    assert_eq!(sim.core.cpu.epc[1], CODE + length as u32);
    let late = sim.core.cpu.ccount().wrapping_sub(sim.core.cpu.a[3]);
    assert!(late < 10, "{late} cycles late");
}

#[test]
fn code_that_changes_is_decoded_again() {
    // The program writes `movi.n a2, 2` over its own `movi.n a2, 1` and jumps back to it.
    let line = |line| assemble(line).expect(line);
    let mut sim = machine(&[
        line("movi.n a2, 1"),
        branch(Branch::BnezN, [5, 0], &[2 + 3 + 3 + 2 + 3]),
        line("s16i a3, a4, 0"),
        line("isync"),
        line("movi.n a5, 1"),
        branch(Branch::J, [0, 0], &[-12]),
    ]);
    let new = assemble("movi.n a2, 2")
        .expect("a line")
        .encode()
        .expect("fits");
    sim.core.cpu.a[3] = u32::from(u16::from_le_bytes([new[0], new[1]]));
    sim.core.cpu.a[4] = CODE;
    run(&mut sim);
    assert_eq!(sim.core.cpu.a[2], 2);
}

#[test]
fn what_is_unknown_is_named_with_place_and_bytes() {
    let mut sim = machine(&[Instruction {
        op: Op::Arithmetic(Arithmetic::NopN),
        length: 2,
        reg: [0; 7],
        imm: [0; 3],
    }]);
    sim.memory
        .place(CODE + 2, &[0xF0, 0xFF, 0xFF])
        .expect("room");
    assert_eq!(
        sim.run(100).to_string(),
        "at 0x00001002: unknown instruction f0 ff ff"
    );
    for (bytes, expected) in [
        ([0x36, 0x41, 0x00], "windowed registers are not emulated"),
        ([0x00, 0x60, 0x40], "external registers"),
    ] {
        let mut sim = machine(&[]);
        sim.memory.place(CODE, &bytes).expect("room");
        let said = sim.run(100).to_string();
        assert!(
            said.starts_with("at 0x00001000: ") && said.contains(expected),
            "{said}"
        );
    }
    let mut sim = machine(&[assemble("l32i a2, a3, 0").expect("a line")]);
    sim.core.cpu.a[3] = 0x10_0000;
    assert_eq!(
        sim.run(100).to_string(),
        "at 0x00001000: load from 0x00100000, where nothing is modelled"
    );
}
