//! The vector instructions' encodings against published ones, and the assembler.

use fixpoint_isa::operand::Kind;
use fixpoint_isa::pie::Pie;
use fixpoint_isa::{Class, Instruction, Op, assemble, decode, rows};

/// Lines and what Espressif's assembler and LLVM's make of them.
const KNOWN: &[(&str, &[u8])] = &[
    ("ee.zero.accx", &[0x04, 0x08, 0x25]),
    ("ee.vld.128.ip q0, a2, 16", &[0x24, 0x01, 0x83]),
    ("ee.vld.128.ip q3, a14, 1248", &[0xe4, 0xce, 0x93]),
    ("ee.vmulas.s8.accx q0, q1", &[0xc4, 0x08, 0x1a]),
    ("ee.srs.accx a2, a5, 0", &[0x54, 0x12, 0x7e]),
    ("ee.zero.qacc", &[0x44, 0x08, 0x25]),
    ("ee.movi.32.q q6, a8, 2", &[0x84, 0x3a, 0xfd]),
    ("ee.ld.128.usar.ip q4, a8, -592", &[0x84, 0x5b, 0xe1]),
    ("ee.src.q q1, q2, q3", &[0x14, 0xa3, 0xdc]),
    (
        "ee.src.q.ld.ip q2, a2, 1792, q6, q7",
        &[0x2f, 0xa0, 0x7a, 0xe1],
    ),
    ("ee.vsmulas.s16.qacc q1, q5, 2", &[0xc4, 0x69, 0x9e]),
    ("ee.srcmb.s16.qacc q1, a7, 0", &[0x74, 0xf2, 0xcd]),
    ("ee.vst.128.ip q7, a4, 16", &[0x44, 0x81, 0xba]),
    ("ee.vldbc.32.ip q5, a6, -256", &[0x64, 0xc0, 0xe2]),
    ("ee.st.accx.ip a3, 8", &[0x34, 0x01, 0x02]),
    ("ee.ldxq.32 q2, q6, a11, 2, 1", &[0xbf, 0x8d, 0xf2, 0xe1]),
    ("ee.ldf.64.ip f6, f5, a1, 488", &[0x1e, 0x65, 0x5f, 0xe0]),
    ("ee.ldf.64.xp f0, f6, a3, a8", &[0x30, 0x08, 0x66]),
    (
        "ee.cmul.s16.st.incp q7, a11, q1, q5, q2, 3",
        &[0xbf, 0x53, 0x71, 0xe4],
    ),
    (
        "ee.vmulas.s16.accx.ld.ip.qup q5, a14, 32, q0, q2, q0, q2",
        &[0xee, 0x12, 0x0a, 0x02],
    ),
    (
        "ee.vmulas.s16.qacc.ldbc.incp q2, a6, q3, q4",
        &[0x64, 0xc3, 0x87],
    ),
    (
        "ee.vmulas.s16.qacc.ld.xp.qup q2, a9, a1, q3, q2, q1, q7",
        &[0x9e, 0xd1, 0x17, 0xb5],
    ),
    (
        "ee.fft.ams.s16.ld.incp.uaup q7, a12, q4, q1, q5, q6, q3, 0",
        &[0xcf, 0x6f, 0x63, 0xd4],
    ),
    (
        "ee.fft.ams.s16.st.incp q3, q6, a7, a6, q5, q5, q1, 1",
        &[0x7f, 0x46, 0xb5, 0xa7],
    ),
    (
        "ee.fft.cmul.s16.st.xp q4, q0, q0, a2, a8, 6, 1, 1",
        &[0x2f, 0x38, 0x08, 0xaa],
    ),
    ("mv.qr q5, q6", &[0x04, 0x8c, 0xaf]),
    ("mv.qr q2, q3", &[0x24, 0x04, 0x9f]),
];

fn bytes(line: &str) -> Vec<u8> {
    let instruction = assemble(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let bytes = instruction.encode().expect(line);
    bytes[..usize::from(instruction.length)].to_vec()
}

#[test]
fn published_encodings_are_met() {
    for (line, expected) in KNOWN {
        assert_eq!(bytes(line), *expected, "{line}");
        let decoded = decode(expected).expect(line);
        assert_eq!(decoded.text(0).to_string(), *line);
    }
}

#[test]
fn there_are_all_instructions_of_the_manual() {
    let count = Pie::ROWS.iter().copied().map(<[_]>::len).sum::<usize>();
    assert_eq!(count, 220);
    for row in Pie::ROWS.iter().copied().flatten() {
        assert!(matches!(row.op, Op::Pie(_)), "{}", row.name);
        assert!(row.class >= Class::Vector, "{}", row.name);
        assert_eq!(row.op.row().name, row.name);
    }
}

/// Every instruction without a label, with its operands at their least and at their greatest.
#[test]
fn text_assembles_back() {
    let mut lines = 0;
    for row in rows() {
        let is_label = |kind| matches!(kind, Kind::Label(..));
        // A number of no special or user register has no name to assemble.
        let is_unnamed = |kind| matches!(kind, Kind::Special | Kind::User);
        if row
            .operands
            .iter()
            .any(|operand| is_label(operand.kind) || is_unnamed(operand.kind))
        {
            continue;
        }
        for word in [row.opcode, row.opcode | !row.mask] {
            let instruction = decode(&word.to_le_bytes()).expect(row.name);
            let text = instruction.text(0).to_string();
            assert_eq!(assemble(&text), Ok(instruction), "{text}");
            lines += 1;
        }
    }
    println!("{lines} lines");
    assert!(lines > 2 * 220);
}

#[test]
fn user_and_special_registers_have_names() {
    assert_eq!(bytes("rur.accx_1 a3"), [0x10, 0x30, 0xe3]);
    assert_eq!(bytes("wur.sar_byte a4"), [0x40, 0x0d, 0xf3]);
    assert_eq!(bytes("rur.ua_state_3 a2"), [0x20, 0x21, 0xe3]);
    assert_eq!(bytes("wsr a8, sar"), [0x80, 0x03, 0x13]);
    assert_eq!(bytes("EE.ZERO.Q q5"), [0xa4, 0xff, 0xed]);
}

#[test]
fn wrong_lines_say_what_is_wrong() {
    let cases = [
        (
            "ee.vadd.s8 q0, q1, q2",
            "there is no instruction `ee.vadd.s8`",
        ),
        ("ee.vadds.s8 q0, q1", "ee.vadds.s8 takes 3 operands, not 2"),
        ("ee.zero.q", "ee.zero.q takes 1 operands, not 0"),
        (
            "ee.vadds.s8 q0, q1, q8",
            "operand 3 of ee.vadds.s8 can't be `q8`; it takes a register q0 to q7",
        ),
        (
            "ee.vld.128.ip q0, a2, 8",
            "operand 3 of ee.vld.128.ip can't be `8`; it takes a number from -2048 to 2032 by \
             steps of 16",
        ),
        (
            "ee.vld.128.ip q0, \\base, 16",
            "operand 2 of ee.vld.128.ip can't be `\\base`; it takes a register a0 to a15",
        ),
        (
            "ee.srci.2q q0, q1, 16",
            "operand 3 of ee.srci.2q can't be `16`; it takes a number from 0 to 15",
        ),
        ("", "there is no instruction ``"),
    ];
    for (line, message) in cases {
        let error: Result<Instruction, _> = assemble(line);
        assert_eq!(error.expect_err(line).to_string(), message);
    }
}
