//! Values measured on chips (revision 0.2) and published with the inputs, and a few worked by hand.

use crate::machine::Machine;

fn vector16(lanes: [i16; 8]) -> u128 {
    lanes
        .iter()
        .rev()
        .fold(0, |value, lane| value << 16 | u128::from(*lane as u16))
}

fn lanes16(vector: u128) -> [i16; 8] {
    std::array::from_fn(|n| (vector >> (16 * n)) as i16)
}

fn vector8(lanes: [i8; 16]) -> u128 {
    lanes
        .iter()
        .rev()
        .fold(0, |value, lane| value << 8 | u128::from(*lane as u8))
}

fn lanes8(vector: u128) -> [i8; 16] {
    std::array::from_fn(|n| (vector >> (8 * n)) as i8)
}

fn vector32(lanes: [u32; 4]) -> u128 {
    lanes
        .iter()
        .rev()
        .fold(0, |value, lane| value << 32 | u128::from(*lane))
}

/// Measured: Espressif's QEMU, issue 161.
#[test]
fn sums_saturate_to_the_least_number() {
    let mut machine = Machine::new();
    machine.cpu.vector.q[0] = vector8([-1, -128, 120, 127, 0, -5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    machine.cpu.vector.q[1] = vector8([-127, -1, 20, 1, 0, -5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    machine.run("ee.vadds.s8 q2, q0, q1");
    let sums = [-128, -128, 127, 127, 0, -10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(lanes8(machine.cpu.vector.q[2]), sums);
}

/// Measured: Espressif's QEMU, issue 162.
#[test]
fn index_zero_is_the_base() {
    let mut machine = Machine::new();
    machine.cpu.a[2] = 0x3FC9_0000;
    machine.cpu.vector.q[1] = vector32([0xA1B2_C3D4, 0, 0, 0]);
    machine.run("ee.stxq.32 q1, q0, a2, 0, 0");
    let stored = (0x3FC9_0000, vec![0xD4, 0xC3, 0xB2, 0xA1]);
    assert_eq!(machine.memory.stores, [stored]);
}

/// Measured: Espressif's QEMU, issue 163.
#[test]
fn a_shift_of_32_is_more_than_one_of_31() {
    let mut machine = Machine::new();
    machine.cpu.sar = 32;
    machine.cpu.vector.q[0] = vector32([0x1234_5678, 0xFFFF_FFFF, 0x8000_0000, 1]);
    machine.run("ee.vsr.32 q1, q0");
    assert_eq!(machine.cpu.vector.q[1], 0);
    machine.run("ee.vsl.32 q1, q0");
    let extremes = vector32([0x7FFF_FFFF, 0x8000_0000, 0x8000_0000, 0x7FFF_FFFF]);
    assert_eq!(machine.cpu.vector.q[1], extremes);
    machine.cpu.vector.q[2] = vector8([-3; 16]);
    machine.cpu.vector.q[3] = vector8([2; 16]);
    machine.run("ee.vmul.s8 q4, q2, q3");
    assert_eq!(machine.cpu.vector.q[4], 0);
    // Not measured: the manual's.
    machine.cpu.sar = 31;
    machine.run("ee.vmul.s8 q4, q2, q3");
    assert_eq!(lanes8(machine.cpu.vector.q[4]), [-1; 16]);
}

/// Measured: Espressif's QEMU, issue 164.
#[test]
fn a_product_can_replace_its_factor() {
    let x = vector16([2, 3, 4, 5, 6, 7, 8, 9]);
    let y = vector16([7, 11, 13, 17, 19, 23, 29, 31]);
    for line in ["ee.cmul.s16 q0, q0, q1, 0", "ee.cmul.s16 q1, q0, q1, 0"] {
        let mut machine = Machine::new();
        machine.cpu.vector.q[0] = x;
        machine.cpu.vector.q[1] = y;
        machine.run(line);
        let place = usize::from(line.contains("s16 q1"));
        assert_eq!(
            lanes16(machine.cpu.vector.q[place])[..4],
            [-19, 43, -33, 133]
        );
        let kept = [&[6, 7, 8, 9], &[19, 23, 29, 31]][place];
        assert_eq!(lanes16(machine.cpu.vector.q[place])[4..], *kept);
    }
}

/// Measured: Espressif's QEMU, issue 165. Sixteen products of 255 times 255 fit 20 bits, one more
/// doesn't.
#[test]
fn unsigned_lanes_saturate_to_all_ones() {
    let mut machine = Machine::new();
    machine.cpu.vector.q[0] = u128::MAX;
    for _ in 0..16 {
        machine.run("ee.vmulas.u8.qacc q0, q0");
    }
    assert_eq!(*machine.cpu.vector.qacc.narrow(), [16 * 255 * 255; 16]);
    machine.run("ee.vmulas.u8.qacc q0, q0");
    assert_eq!(*machine.cpu.vector.qacc.narrow(), [0xFFFFF; 16]);
    assert_eq!(machine.cpu.vector.qacc.words(1), [u32::MAX; 5]);
}

/// Measured: Espressif's QEMU, issue 166.
#[test]
fn a_count_in_a_register_has_four_bits() {
    let mut machine = Machine::new();
    machine.cpu.a[2] = 16;
    machine.cpu.vector.q[0] = 0x11 << 120 | 0x22;
    machine.cpu.vector.q[1] = 0x33;
    machine.run("ee.slcxxp.2q q1, q0, a2, a3");
    assert_eq!(machine.cpu.vector.q[0], 0x2200);
    assert_eq!(machine.cpu.vector.q[1], 0x3311);
}

/// Measured (github.com/dj-oyu/esp32s3-hw-mcp): both selections of the butterfly.
#[test]
fn butterflies_pair_the_lanes_as_on_a_chip() {
    let mut machine = Machine::new();
    machine.cpu.vector.q[0] = vector16([100, -200, 300, -400, 500, -600, 700, -800]);
    machine.run("ee.fft.r2bf.s16 q2, q3, q0, q0, 0");
    let halves = [600, -800, 1000, -1200, -400, 400, -400, 400];
    assert_eq!(lanes16(machine.cpu.vector.q[2]), halves);
    machine.run("ee.fft.r2bf.s16 q2, q3, q0, q0, 1");
    let quarters = [400, -600, 1200, -1400, -200, 200, -200, 200];
    assert_eq!(lanes16(machine.cpu.vector.q[2]), quarters);
}

/// Measured (the same): reading ACCX, and that it saturates.
#[test]
fn accx_is_read_shifted_and_saturated() {
    let cases = [
        ((1i64 << 38) + 12345, 0, i32::MAX),
        ((1 << 38) + 12345, 8, 1_073_741_872),
        (-((1 << 38) + 999), 5, i32::MIN),
    ];
    for (accx, shift, expected) in cases {
        let mut machine = Machine::new();
        machine.cpu.vector.accx = accx as u64 & ((1 << 40) - 1);
        machine.cpu.a[3] = shift;
        machine.run("ee.srs.accx a2, a3, 0");
        assert_eq!(machine.cpu.a[2] as i32, expected);
    }
    let mut machine = Machine::new();
    machine.cpu.vector.q[0] = vector16([32000; 8]);
    for _ in 0..200 {
        machine.run("ee.vmulas.s16.accx q0, q0");
    }
    assert_eq!(machine.cpu.vector.accx, (1 << 39) - 1);
    machine.cpu.a[3] = 9;
    machine.run("ee.srs.accx a2, a3, 0");
    assert_eq!(machine.cpu.a[2], 1_073_741_823);
}

/// Measured (the same), with a width that the lanes themselves show to have been eight bits.
#[test]
fn bits_are_reversed_as_on_a_chip() {
    let cases = [
        (
            0x3FC9_4040,
            [0x0082_0040, 0x00C2_0042, 0x00A2_0044, 0x00E2_0062],
        ),
        (
            0x3FC9_4050,
            [0x008A_0050, 0x00CA_0052, 0x00AA_0054, 0x00EA_006A],
        ),
    ];
    for (first, expected) in cases {
        let mut machine = Machine::new();
        machine.cpu.vector.fft_bit_width = 8;
        machine.cpu.a[2] = first;
        machine.run("ee.bitrev q0, a2");
        assert_eq!(machine.cpu.vector.q[0], vector32(expected));
        assert_eq!(machine.cpu.a[2], first + 8);
    }
}

/// Measured (the same): the first operand of `ee.src.q` is the lower half.
#[test]
fn an_unaligned_vector_begins_in_the_first_operand() {
    let mut machine = Machine::new();
    machine.cpu.vector.sar_byte = 2;
    machine.cpu.vector.q[0] = vector16([0, 1, 2, 3, 4, 5, 6, 7]);
    machine.cpu.vector.q[1] = vector16([8, 9, 10, 11, 12, 13, 14, 15]);
    machine.run("ee.src.q q2, q0, q1");
    assert_eq!(lanes16(machine.cpu.vector.q[2]), [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// By hand: 20-bit lanes stop at 524287 and -524288, and are read with a floor.
#[test]
fn narrow_lanes_saturate_and_are_read_rounded_down() {
    let mut machine = Machine::new();
    let mut x = [127; 16];
    x[0] = -128;
    machine.cpu.vector.q[0] = vector8(x);
    machine.cpu.vector.q[1] = vector8([127; 16]);
    // 127 * 127 = 16129, 32 of them 516128; -128 * 127 = -16256, 32 of them -520192.
    for _ in 0..32 {
        machine.run("ee.vmulas.s8.qacc q0, q1");
    }
    assert_eq!(
        machine.cpu.vector.qacc.narrow()[..2],
        [0x10_0000 - 520_192, 516_128]
    );
    machine.run("ee.vmulas.s8.qacc q0, q1");
    assert_eq!(machine.cpu.vector.qacc.narrow()[..2], [0x8_0000, 0x7_FFFF]);
    // -524288 >> 13 = -64, 524287 >> 13 = 63.99 rounded down.
    machine.cpu.a[2] = 13;
    machine.run("ee.srcmb.s8.qacc q2, a2, 0");
    assert_eq!(lanes8(machine.cpu.vector.q[2])[..2], [-64, 63]);
    assert_eq!(machine.cpu.vector.qacc.narrow()[..2], [0x10_0000 - 64, 63]);
}

/// By hand: widening bytes to halfwords through a zip with zeros, and back.
#[test]
fn zip_and_unzip_are_inverse() {
    let mut machine = Machine::new();
    let bytes = [
        1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16,
    ];
    machine.cpu.vector.q[0] = vector8(bytes);
    machine.run("ee.vzip.8 q0, q1");
    assert_eq!(
        lanes16(machine.cpu.vector.q[0]),
        [1, 254, 3, 252, 5, 250, 7, 248]
    );
    assert_eq!(
        lanes16(machine.cpu.vector.q[1]),
        [9, 246, 11, 244, 13, 242, 15, 240]
    );
    machine.run("ee.vunzip.8 q0, q1");
    assert_eq!(lanes8(machine.cpu.vector.q[0]), bytes);
    assert_eq!(machine.cpu.vector.q[1], 0);
}
