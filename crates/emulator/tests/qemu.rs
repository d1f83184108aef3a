//! Random programs of base instructions, here and in QEMU's machine `sim`: the same registers and the
//! same memory at the end. QEMU's cores are other configurations of the same architecture, so they
//! get the instructions that they have.

#[path = "support/random.rs"]
mod random;

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fixpoint_emulator::sim::{End, Sim};
use fixpoint_isa::{
    Branch, Class, Instruction, Loop, Memory, Multiply, Op, Row, Shift, assemble, rows,
};
use random::Random;

/// A program takes QEMU a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

const CASES: usize = 1_500;
/// Instructions of a case, some of which repeat.
const LENGTH: usize = 48;
const CODE: u32 = 0x1_0000;
const STATE: u32 = 0x40_0000;
/// Bytes of a case's state: registers before, then after.
const STRIDE: u32 = 256;
const AFTER: i32 = 64;
/// A piece of memory that every case works on, in `a0`.
const DATA: u32 = 0x3F_0000;
const DATA_BYTES: u32 = 512;
const MEMORY: usize = 8 << 20;
/// `a0` and `a1` point, `a15` is one.
const FREE: std::ops::Range<u8> = 2..15;

impl Random {
    /// Often a boundary, or near one.
    fn word(&mut self) -> u32 {
        let edges: [u32; 8] = [0, 1, 31, 32, 0x7FFF_FFFF, 0x8000_0000, u32::MAX, 0x8000];
        match self.below(3) {
            0 => edges[self.below(edges.len())],
            1 => (self.next() as u32) >> self.below(32),
            _ => self.next() as u32,
        }
    }

    fn register(&mut self) -> u8 {
        FREE.start + self.below(usize::from(FREE.end - FREE.start)) as u8
    }
}

/// A program in the making.
struct Program {
    bytes: Vec<u8>,
    random: Random,
    /// What the core has.
    rows: Vec<&'static Row>,
}

impl Program {
    fn push(&mut self, instruction: Instruction) {
        let encoded = instruction.encode().expect("operands that fit");
        self.bytes
            .extend(&encoded[..usize::from(instruction.length)]);
    }

    fn line(&mut self, line: &str) {
        self.push(assemble(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    }

    /// `register = value`, of any size.
    fn set(&mut self, register: u8, value: u32) {
        let byte = |shift: u32| value >> shift & 0xFF;
        self.line(&format!("movi a{register}, {}", byte(24)));
        for shift in [16, 8, 0] {
            self.line(&format!("slli a{register}, a{register}, 8"));
            // Added in two halves, as `addi` takes a signed byte.
            let (half, rest) = (byte(shift) / 2, byte(shift) - byte(shift) / 2);
            if rest > 127 {
                self.line(&format!("addi a{register}, a{register}, 1"));
            }
            self.line(&format!("addi a{register}, a{register}, {half}"));
            self.line(&format!("addi a{register}, a{register}, {}", rest.min(127)));
        }
    }

    /// One random instruction that goes on with the next.
    fn straight(&mut self) {
        let row = self.rows[self.random.below(self.rows.len())];
        let word = row.opcode | self.random.next() as u32 & !row.mask;
        let bytes = word.to_le_bytes();
        let mut instruction = fixpoint_isa::decode(&bytes).expect("a row of the table");
        for register in &mut instruction.reg {
            *register = self.random.register();
        }
        match row.op {
            Op::Memory(op) => {
                // A place in the data, aligned.
                let bytes = match op {
                    Memory::L8ui | Memory::S8i => 1,
                    Memory::L16ui | Memory::L16si | Memory::S16i => 2,
                    _ => 4,
                };
                let most = if row.length == 2 { 16 } else { 100 };
                instruction.reg[1] = 0;
                instruction.imm[0] = (self.random.below(most) * bytes) as i32;
            }
            Op::Multiply(Multiply::Quou | Multiply::Quos | Multiply::Remu | Multiply::Rems) => {
                let divisor = instruction.reg[2];
                self.line(&format!("or a{divisor}, a{divisor}, a15"));
            }
            // QEMU shifts by SAR modulo 32 in `srl` and `sra` when it has just translated one of
            // these, which may leave 32 in SAR. The manual shifts everything out then, as happens
            // here; so the amount is odd.
            Op::Shift(Shift::Ssl | Shift::Ssa8b) => {
                let amount = instruction.reg[0];
                self.line(&format!("or a{amount}, a{amount}, a15"));
            }
            // The encoding for 32 is not defined.
            Op::Shift(Shift::Slli) => instruction.imm[0] = 1 + self.random.below(31) as i32,
            _ => {}
        }
        // Unused places of the generic form are zero.
        let used = row
            .operands
            .iter()
            .filter(|o| o.kind == fixpoint_isa::operand::Kind::Ar)
            .count();
        instruction.reg[used..].fill(0);
        self.push(instruction);
    }

    /// A branch over some instructions.
    fn branch(&mut self) {
        let branches: Vec<&Row> = Branch::ROWS
            .iter()
            .filter(|row| row.class == Class::Branch)
            .collect();
        let row = branches[self.random.below(branches.len())];
        let word = row.opcode | self.random.next() as u32 & !row.mask;
        let mut branch = fixpoint_isa::decode(&word.to_le_bytes()).expect("a row of the table");
        branch.reg[0] = self.random.register();
        if row.operands.len() == 3 && branch.reg[1] != 0 {
            branch.reg[1] = self.random.register();
        }
        let at = self.bytes.len();
        self.push(branch);
        for _ in 0..=self.random.below(3) {
            self.straight();
        }
        let label = row.operands.len() - 1 - used_registers(row);
        branch.imm[label] = (self.bytes.len() - at) as i32;
        let again = branch.encode().expect("a short way");
        let length = usize::from(branch.length);
        self.bytes[at..at + length].copy_from_slice(&again[..length]);
    }

    /// A loop of a few rounds.
    fn round(&mut self) {
        let ops = [Loop::Loop, Loop::Loopnez, Loop::Loopgtz];
        let op = Op::Loop(ops[self.random.below(3)]);
        let count = self.random.register();
        let rounds = self
            .random
            .below(6)
            .max(usize::from(op == Op::Loop(Loop::Loop)));
        self.line(&format!("movi a{count}, {rounds}"));
        let mut start = Instruction {
            op,
            length: 3,
            reg: [0; 7],
            imm: [0; 3],
        };
        start.reg[0] = count;
        start.imm[0] = 4;
        let at = self.bytes.len();
        self.push(start);
        for _ in 0..=self.random.below(4) {
            match self.random.below(4) {
                0 => self.branch(),
                _ => self.straight(),
            }
        }
        // The last instruction of a loop is no branch target here.
        self.straight();
        start.imm[0] = (self.bytes.len() - at) as i32;
        let again = start.encode().expect("a short loop");
        self.bytes[at..at + 3].copy_from_slice(&again[..3]);
    }

    fn case(&mut self) {
        for register in 2..16 {
            self.line(&format!("l32i a{register}, a1, {}", register * 4));
        }
        self.line("wsr a2, sar");
        for _ in 0..LENGTH {
            match self.random.below(12) {
                0 | 1 => self.branch(),
                2 => self.round(),
                _ => self.straight(),
            }
        }
        for register in 2..16 {
            self.line(&format!("s32i a{register}, a1, {}", AFTER + register * 4));
        }
        self.line("rsr a2, sar");
        self.line(&format!("s32i a2, a1, {AFTER}"));
        self.line("rsr a2, lcount");
        self.line(&format!("s32i a2, a1, {}", AFTER + 4));
        self.line("addmi a1, a1, 256");
    }
}

fn used_registers(row: &Row) -> usize {
    let general = |o: &&fixpoint_isa::operand::Operand| o.kind == fixpoint_isa::operand::Kind::Ar;
    row.operands.iter().filter(general).count()
}

/// Program and the cases' states.
fn program(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut random = Random(seed);
    let straight = rows().filter(|row| match row.op {
        // Neither of QEMU's cores has the upper half of a product.
        Op::Multiply(Multiply::Muluh | Multiply::Mulsh) => false,
        Op::Arithmetic(_) | Op::Shift(_) | Op::Multiply(_) => true,
        Op::Memory(op) => {
            let plain = matches!(row.class, Class::Load | Class::Store);
            plain && !matches!(op, Memory::L32r | Memory::S32c1i)
        }
        _ => false,
    });
    let mut state = Vec::new();
    for _ in 0..CASES {
        let mut words: Vec<u32> = (0..16).map(|_| random.word()).collect();
        // To be the shift amount; above 32 shifts are not defined.
        words[2] %= 33;
        words[15] = 1;
        words.resize(STRIDE as usize / 4, 0);
        state.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    let mut program = Program {
        bytes: Vec::new(),
        random,
        rows: straight.collect(),
    };
    // Loops go round only with PS.EXCM clear.
    program.line("movi a2, 47");
    program.line("wsr a2, ps");
    program.line("rsync");
    program.set(0, DATA);
    program.set(1, STATE);
    for _ in 0..CASES {
        program.case();
    }
    for (address, length) in [(STATE, CASES as u32 * STRIDE), (DATA, DATA_BYTES)] {
        program.set(4, address);
        program.set(5, length);
        program.line("movi a3, 1");
        program.line("movi a2, 4");
        program.line("simcall");
    }
    program.line("movi a3, 0");
    program.line("movi a2, 1");
    program.line("simcall");
    (program.bytes, state)
}

fn here(code: &[u8], state: &[u8]) -> (Vec<u8>, u64) {
    let mut sim = Sim::new(MEMORY, CODE);
    sim.memory.place(CODE, code).expect("room");
    sim.memory.place(STATE, state).expect("room");
    let end = sim.run(100_000_000);
    assert_eq!(end, End::Exit(0), "{end}");
    (sim.output, sim.core.executed())
}

fn in_qemu(cpu: &str, code: &[u8], state: &[u8]) -> Option<Vec<u8>> {
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let name = format!("fixpoint-{cpu}-{name}-{}.bin", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a place for temporary files");
        path
    };
    let (code, state) = (file("code", code), file("state", state));
    let child = Command::new("qemu-system-xtensa")
        .args(["-M", "sim", "-cpu", cpu, "-m", "16M", "-semihosting"])
        .args(["-nographic", "-monitor", "none", "-serial", "none"])
        .arg("-device")
        .arg(format!(
            "loader,file={},addr={CODE:#x},cpu-num=0,force-raw=on",
            code.display()
        ))
        .arg("-device")
        .arg(format!(
            "loader,file={},addr={STATE:#x},force-raw=on",
            state.display()
        ))
        .stdout(Stdio::piped())
        .spawn();
    let output = child.ok().map(|child| ended(child, cpu));
    for path in [code, state] {
        std::fs::remove_file(path).ok();
    }
    output
}

/// What it printed until it ended; one that faults for ever is stopped.
fn ended(mut child: Child, cpu: &str) -> Vec<u8> {
    let mut stdout = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let start = Instant::now();
    while start.elapsed() < PATIENCE && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let in_time = child.try_wait().expect("a child");
    child.kill().ok();
    child.wait().expect("a child");
    let bytes = reader.join().expect("no panic").expect("its output");
    let status = in_time.unwrap_or_else(|| panic!("{cpu}: QEMU does not end"));
    assert!(status.success(), "{cpu}: QEMU ended with {status}");
    bytes
}

fn compare(cpu: &str, seed: u64) {
    let (code, state) = program(seed);
    let (ours, executed) = here(&code, &state);
    let Some(theirs) = in_qemu(cpu, &code, &state) else {
        println!("skipped: {cpu}: no qemu-system-xtensa (Debian: qemu-system-misc)");
        return;
    };
    assert_eq!(ours.len(), theirs.len());
    let cases = ours
        .chunks(STRIDE as usize)
        .zip(theirs.chunks(STRIDE as usize));
    for (number, (ours, theirs)) in cases.enumerate() {
        let words = |bytes: &[u8]| -> Vec<String> {
            let words = bytes[..2 * AFTER as usize].chunks(4);
            words
                .map(|w| format!("{:02x}{:02x}{:02x}{:02x}", w[3], w[2], w[1], w[0]))
                .collect()
        };
        assert_eq!(
            words(ours),
            words(theirs),
            "{cpu} case {number}: a0..a15 before and after"
        );
    }
    println!("{cpu}: {CASES} random programs, {executed} instructions, same registers and memory");
}

#[test]
fn as_a_dc233c() {
    compare("dc233c", 0x00DC_233C);
}

#[test]
fn as_a_de233_with_fpu() {
    compare("de233_fpu", 0x00DE_233F);
}
