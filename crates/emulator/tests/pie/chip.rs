//! A core's state in memory, and programs that load it, execute a few instructions and save it: what an
//! ESP32-S3 in Espressif's QEMU needs to play the cases of this folder.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fixpoint_isa::operand::Kind;
use fixpoint_isa::{Branch, Instruction, Op, assemble};

use crate::machine::{Machine, SIZE, START};

/// A run takes a second or two.
const PATIENCE: Duration = Duration::from_secs(10);

/// In SRAM behind what the ROM uses, as core 1 is in it; that QEMU has more SRAM than the chip.
const STATES: u32 = 0x3FCF_0000;
const CODE: u32 = 0x4037_0000;
/// Bytes of a state, saved in place.
pub(crate) const STRIDE: usize = 320;

/// General registers of a case; `a0` returns, `a14` is scratch, `a15` points to the state.
pub(crate) const FREE: std::ops::Range<u8> = 2..14;

/// User registers behind the vectors, as words.
const USER: [&str; 12] = [
    "accx_0", "accx_1", "qacc_l_0", "qacc_l_1", "qacc_l_2", "qacc_l_3", "qacc_l_4", "qacc_h_0",
    "qacc_h_1", "qacc_h_2", "qacc_h_3", "qacc_h_4",
];
const SMALL: [&str; 3] = ["sar_byte", "fft_bit_width", "gpio_out"];

/// Everything that is compared but memory: nine vectors, the words of [`USER`], SAR, those of
/// [`SMALL`], `a2` to `a13`, `f0` to `f15`.
pub(crate) fn words(machine: &Machine) -> Vec<u32> {
    let cpu = &machine.cpu;
    let vector = &cpu.vector;
    let quarters = |q: u128| (0..4).map(move |n| (q >> (32 * n)) as u32);
    let mut words: Vec<u32> = vector.q.into_iter().flat_map(quarters).collect();
    words.extend(quarters(vector.ua_state));
    words.extend([vector.accx as u32, (vector.accx >> 32) as u32]);
    words.extend(vector.qacc.words(0));
    words.extend(vector.qacc.words(1));
    words.push(cpu.sar);
    words.extend([vector.sar_byte, vector.fft_bit_width, vector.gpio_out].map(u32::from));
    words.extend(&cpu.a[usize::from(FREE.start)..usize::from(FREE.end)]);
    words.extend(cpu.f);
    assert_eq!(words.len() * 4, STRIDE);
    words
}

/// The program of a batch.
struct Program(Vec<u8>);

impl Program {
    fn push(&mut self, instruction: &Instruction) {
        let bytes = instruction.encode().expect("operands that fit");
        self.0.extend(&bytes[..usize::from(instruction.length)]);
    }

    fn line(&mut self, line: &str) {
        self.push(&assemble(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    }

    /// `register = value`, of any size.
    fn set(&mut self, register: u8, value: u32) {
        self.line(&format!("movi a{register}, {}", value >> 24));
        for shift in [16, 8, 0] {
            let byte = value >> shift & 0xFF;
            self.line(&format!("slli a{register}, a{register}, 8"));
            // Added in pieces, as `addi` takes a signed byte.
            for piece in [byte / 3, byte / 3, byte - byte / 3 * 2] {
                self.line(&format!("addi a{register}, a{register}, {piece}"));
            }
        }
    }

    fn here(&self) -> u32 {
        CODE + self.0.len() as u32
    }

    fn jump(&mut self, op: Branch, target: u32) {
        let row = op.row();
        let Kind::Label(anchor, _) = row.operands[0].kind else {
            panic!("{} has no label", row.name)
        };
        let mut instruction = Instruction {
            op: Op::Branch(op),
            length: row.length,
            reg: [0; 7],
            imm: [0; 3],
        };
        instruction.imm[0] = target.wrapping_sub(anchor.address(self.here())) as i32;
        self.push(&instruction);
    }

    /// Targets of calls lie at words.
    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn load(&mut self) {
        self.line("or a14, a15, a15");
        for q in 0..8 {
            self.line(&format!("ee.vld.128.ip q{q}, a14, 16"));
        }
        self.line("ee.ld.ua_state.ip a14, 16");
        self.small("l32i", "wur", "wsr");
        self.floats("ldf");
        self.general("l32i");
        self.line("ret");
    }

    fn save(&mut self) {
        self.general("s32i");
        self.line("or a14, a15, a15");
        for q in 0..8 {
            self.line(&format!("ee.vst.128.ip q{q}, a14, 16"));
        }
        self.line("ee.st.ua_state.ip a14, 16");
        self.small("s32i", "rur", "rsr");
        self.floats("stf");
        self.line("ret");
    }

    fn small(&mut self, memory: &str, user: &str, special: &str) {
        for (number, name) in USER.iter().chain(&["sar"]).chain(&SMALL).enumerate() {
            let move_it = match *name {
                "sar" => format!("{special} a2, sar"),
                name => format!("{user}.{name} a2"),
            };
            let access = format!("{memory} a2, a15, {}", 144 + 4 * number);
            let lines = match memory {
                "l32i" => [access, move_it],
                _ => [move_it, access],
            };
            lines.iter().for_each(|line| self.line(line));
        }
    }

    fn general(&mut self, memory: &str) {
        for (number, register) in FREE.enumerate() {
            self.line(&format!("{memory} a{register}, a15, {}", 208 + 4 * number));
        }
    }

    fn floats(&mut self, access: &str) {
        self.line("addmi a14, a15, 256");
        for first in [0, 4, 8, 12] {
            let [low, b, c, high] = [first, first + 1, first + 2, first + 3];
            self.line(&format!(
                "ee.{access}.128.ip f{high}, f{c}, f{b}, f{low}, a14, 16"
            ));
        }
    }

    fn batch(cases: &[Vec<Instruction>]) -> Vec<u8> {
        let mut program = Self(Vec::new());
        // Over the two routines.
        let mut routines = Self(vec![0; 4]);
        routines.load();
        routines.align();
        let save = routines.here();
        routines.save();
        routines.align();
        program.jump(Branch::J, routines.here());
        program.align();
        let load = program.here();
        program.0.extend(&routines.0[4..]);
        // Interrupts off, and every coprocessor on.
        program.line("movi a2, 47");
        program.line("wsr a2, ps");
        program.line("movi a2, 255");
        program.line("wsr a2, cpenable");
        program.line("rsync");
        program.set(15, STATES);
        for case in cases {
            program.jump(Branch::Call0, load);
            case.iter()
                .for_each(|instruction| program.push(instruction));
            program.jump(Branch::Call0, save);
            program.line("addmi a15, a15, 256");
            program.line("addi a15, a15, 64");
        }
        for (address, length) in [(STATES, cases.len() * STRIDE), (START, SIZE)] {
            program.set(4, address);
            program.set(5, length as u32);
            program.line("movi a3, 1");
            program.line("movi a2, 4");
            program.line("simcall");
        }
        program.line("movi a3, 0");
        program.line("movi a2, 1");
        program.line("simcall");
        program.0
    }
}

/// What QEMU has after the cases: a state for each, and the data. `None` when it ends otherwise.
pub(crate) fn in_qemu(
    qemu: &Path,
    cases: &[Vec<Instruction>],
    states: &[u32],
    data: &[u8],
) -> Option<(Vec<u32>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let states: Vec<u8> = states.iter().flat_map(|word| word.to_le_bytes()).collect();
    let code = Program::batch(cases);
    let mut command = Command::new(qemu);
    // What is loaded may be no larger than the external memory.
    command.args([
        "-M", "esp32s3", "-m", "4M", "-nic", "none", "-display", "none",
    ]);
    command.args(["-monitor", "none", "-serial", "none", "-semihosting"]);
    if let Some(data) = std::env::var_os("QEMU_ESP_DATA") {
        command.arg("-L").arg(data);
    }
    let pieces = [
        ("data", START, data),
        ("states", STATES, &states),
        ("code", CODE, &code),
    ];
    for (name, address, bytes) in pieces {
        let path = folder.join(format!("pie-{name}-{}.bin", std::process::id()));
        std::fs::write(&path, bytes).expect("a place for temporary files");
        let processor = if name == "code" { "cpu-num=0," } else { "" };
        let path = path.display();
        command.args([
            "-device",
            &format!("loader,file={path},addr={address:#x},{processor}force-raw=on"),
        ]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("QEMU_ESP names a program");
    let mut stdout = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let start = Instant::now();
    while start.elapsed() < PATIENCE && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().ok();
    let status = child.wait().expect("a child");
    let bytes = reader.join().expect("no panic").expect("its output");
    if !status.success() || bytes.len() != states.len() + data.len() {
        return None;
    }
    let (states, data) = bytes.split_at(states.len());
    let words = states
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word));
    Some((words.collect(), data.to_vec()))
}
