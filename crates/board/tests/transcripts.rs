//! The virtual board answers as the real mask ROM and stub v1.4.1 did.
//!
//! The answers in the tables are those of the real S3 ROM in Espressif's QEMU. Where the recorded
//! sessions themselves are at hand, the tables are compared with them line by line. Digests depend on the data of
//! the day and are left out, but not what the ROM leaves of them in later answers.

use fixpoint_board::{BootMode, Options, VirtualBoard};
use md5::{Digest, Md5};
use miniz_oxide::deflate::compress_to_vec_zlib;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn request(op: u8, data: &[u8], checksum: u32) -> Vec<u8> {
    let mut request = vec![0, op];
    request.extend((data.len() as u16).to_le_bytes());
    request.extend(checksum.to_le_bytes());
    request.extend(data);
    request
}

fn plain(op: u8, data: &[u32]) -> Vec<u8> {
    request(op, &words(data), 0)
}

fn block(op: u8, sequence: u32, bytes: &[u8]) -> Vec<u8> {
    let sum = bytes.iter().fold(0xEF, |sum: u8, byte| sum ^ byte);
    let data = [words(&[bytes.len() as u32, sequence, 0, 0]), bytes.to_vec()].concat();
    request(op, &data, u32::from(sum))
}

fn sync() -> Vec<u8> {
    request(8, &[&[7, 7, 0x12, 0x20][..], &[0x55; 32]].concat(), 0)
}

struct Client {
    board: VirtualBoard,
    /// Characters 2 and 3 of the last digest that the ROM sent.
    leftover: String,
}

impl Client {
    fn new() -> Self {
        let board = VirtualBoard::new(
            None,
            Options {
                boot_mode: BootMode::HeldInLoader,
                mac: [0; 6],
                ..Options::default()
            },
        );
        Self {
            board,
            leftover: String::new(),
        }
    }

    fn ask(&mut self, request: &[u8]) -> Vec<Vec<u8>> {
        self.board.read();
        self.board.write(&slip(request));
        unslip(&self.board.read())
    }
}

fn slip(payload: &[u8]) -> Vec<u8> {
    let escaped = payload.iter().flat_map(|&byte| match byte {
        0xC0 => vec![0xDB, 0xDC],
        0xDB => vec![0xDB, 0xDD],
        byte => vec![byte],
    });
    [0xC0].into_iter().chain(escaped).chain([0xC0]).collect()
}

fn unslip(bytes: &[u8]) -> Vec<Vec<u8>> {
    let frames = bytes
        .split(|&byte| byte == 0xC0)
        .filter(|frame| !frame.is_empty());
    let unescape = |frame: &[u8]| {
        let mut rest = frame.iter();
        let mut out = Vec::new();
        while let Some(&byte) = rest.next() {
            out.push(match byte {
                0xDB if *rest.next().unwrap() == 0xDC => 0xC0,
                byte => byte,
            });
        }
        out
    };
    frames.map(unescape).collect()
}

/// Hex of an answer. A digest becomes `MD5`, and its leftover in a later ROM answer `~~~~`.
fn shown(frame: &[u8], leftover: &mut String) -> String {
    let mut hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    if hex.starts_with("01132400") {
        *leftover = hex[20..24].to_owned();
        hex.replace_range(16..80, "MD5");
    } else if hex.starts_with("01131200") {
        hex.replace_range(16..48, "MD5");
    } else if hex.len() == 24 && !leftover.is_empty() && hex.ends_with(leftover.as_str()) {
        hex.replace_range(20..24, "~~~~");
    }
    hex
}

/// Label as in the recording, request, answer.
type Step = (&'static str, Vec<u8>, &'static str);

fn stub() -> [Vec<u8>; 2] {
    let part = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../flash/stub")
            .join(name);
        std::fs::read(path).unwrap()
    };
    [part("esp32s3-text.bin"), part("esp32s3-data.bin")]
}

fn upload(stale: &'static str) -> Vec<Step> {
    let [text, data] = stub();
    let (text_size, data_size) = (text.len() as u32, data.len() as u32);
    let answer = |op: u8| -> &'static str {
        Box::leak(format!("01{op:02x}040000000000{stale}").into_boxed_str())
    };
    vec![
        (
            "MEM_BEGIN text",
            plain(5, &[text_size, 2, 0x1800, 0x4037_8000]),
            answer(5),
        ),
        ("MEM_DATA text0", block(7, 0, &text[..0x1800]), answer(7)),
        ("MEM_DATA text1", block(7, 1, &text[0x1800..]), answer(7)),
        (
            "MEM_BEGIN data",
            plain(5, &[data_size, 1, 0x1800, 0x3FCB_2DC4]),
            answer(5),
        ),
        ("MEM_DATA data0", block(7, 0, &data), answer(7)),
        ("MEM_END", plain(6, &[0, 0x4037_95A8]), answer(6)),
    ]
}

/// Incompressible, so that a stream has as many blocks as in the recordings.
fn noise(length: usize) -> Vec<u8> {
    let mut digest = Md5::digest(b"noise").to_vec();
    let mut bytes = Vec::new();
    while bytes.len() < length {
        digest = Md5::digest(&digest).to_vec();
        bytes.extend(&digest);
    }
    bytes.truncate(length);
    bytes
}

fn rom_session() -> Vec<Step> {
    let data = noise(3_000);
    let z = compress_to_vec_zlib(&data, 9);
    let bad_checksum = request(3, &[words(&[4, 4, 0, 0]), vec![1; 4]].concat(), 0x55);
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(("SYNC", sync(), "010804000707122000000000"));
    }
    steps.extend([
        (
            "READ_REG magic",
            plain(0xA, &[0x4000_1000]),
            "010a04000900000000000000",
        ),
        (
            "READ_REG mac0",
            plain(0xA, &[0x6000_7044]),
            "010a04000000000000000000",
        ),
        (
            "READ_REG mac1",
            plain(0xA, &[0x6000_7048]),
            "010a04000000000000000000",
        ),
        (
            "GET_SECURITY_INFO",
            plain(0x14, &[]),
            "011418000000000000000000000000000000000c090000000000000000000000",
        ),
        (
            "SPI_ATTACH 8B",
            plain(0xD, &[0, 0]),
            "010d04000000000000000000",
        ),
        (
            "SPI_ATTACH 4B",
            plain(0xD, &[0]),
            "010d04000000000000000000",
        ),
        ("SPI_SET_PARAMS", set_params(), "010b04000000000000000000"),
        (
            "unknown 0xD0 on ROM",
            plain(0xD0, &[]),
            "010b04000000000001050000",
        ),
        (
            "MEM_BEGIN bad addr",
            plain(5, &[64, 1, 64, 0x10]),
            "010504000000000000050000",
        ),
        (
            "FLASH_BEGIN 16B",
            plain(2, &[0x1000, 4, 0x400, 0x10_0000]),
            "010204000000000001050000",
        ),
        (
            "FLASH_BEGIN 20B",
            plain(2, &[0x1000, 4, 0x400, 0x10_0000, 0]),
            "010204000000000000050000",
        ),
        (
            "FLASH_DATA 0",
            block(3, 0, &data[..0x400]),
            "010304000000000000050000",
        ),
        (
            "FLASH_DATA 1",
            block(3, 1, &data[..0x400]),
            "010304000000000000050000",
        ),
        (
            "FLASH_DATA 2",
            block(3, 2, &data[..0x400]),
            "010304000000000000050000",
        ),
        (
            "FLASH_DATA 3",
            block(3, 3, &data[..0x400]),
            "010304000000000000050000",
        ),
        ("FLASH_DATA badck", bad_checksum, "010304000000000001070000"),
        (
            "SPI_FLASH_MD5 ROM",
            plain(0x13, &[0x10_0000, 0x1000, 0, 0]),
            "0113240000000000MD500000000",
        ),
        (
            "DEFL_BEGIN rom",
            plain(0x10, &[0xC00, 3, 0x400, 0x11_0000, 0]),
            "01100400000000000000~~~~",
        ),
        (
            "DEFL_DATA 0 len1024",
            block(0x11, 0, &z[..0x400]),
            "01110400000000000000~~~~",
        ),
        (
            "DEFL_DATA 1 len1024",
            block(0x11, 1, &z[0x400..0x800]),
            "01110400000000000000~~~~",
        ),
        (
            "MD5 rom defl",
            plain(0x13, &[0x11_0000, 3_000, 0, 0]),
            "0113240000000000MD500000000",
        ),
    ]);
    steps.extend(upload("0000~~~~"));
    let data = noise(40_000);
    let z = compress_to_vec_zlib(&data, 9);
    steps.extend([
        ("SYNC stub", sync(), "01080200000000000000"),
        (
            "SECINFO stub",
            plain(0x14, &[]),
            "011416000000000000000000000000000000000c09000000000000000000",
        ),
        (
            "READ_REG magic stub",
            plain(0xA, &[0x4000_1000]),
            "010a0200090000000000",
        ),
        ("SPI_ATTACH 4", plain(0xD, &[0]), "010d0200000000000000"),
        ("SPI_SET_PARAMS", set_params(), "010b0200000000000000"),
        (
            "DEFL_BEGIN stub",
            plain(0x10, &[40_000, 3, 0x4000, 0x12_0000]),
            "01100200000000000000",
        ),
        (
            "DEFL_DATA 0 len16384",
            block(0x11, 0, &z[..0x4000]),
            "01110200000000000000",
        ),
        (
            "DEFL_DATA 1 len16384",
            block(0x11, 1, &z[0x4000..0x8000]),
            "01110200000000000000",
        ),
        (
            "DEFL_DATA 2",
            block(0x11, 2, &z[0x8000..]),
            "01110200000000000000",
        ),
        (
            "MD5 stub",
            plain(0x13, &[0x12_0000, 40_000, 0, 0]),
            "0113120000000000MD50000",
        ),
        ("DEFL_END stay", plain(0x12, &[1]), "01120200000000000000"),
        (
            "FLASH_DATA w/o begin",
            block(3, 0, &data[..0x400]),
            "0103020000000000c600",
        ),
        ("unknown 0x77", plain(0x77, &[]), "0177020000000000c300"),
        (
            "ERASE_REGION",
            plain(0xD1, &[0x12_0000, 0x1000]),
            "01d10200000000000000",
        ),
    ]);
    steps
}

fn set_params() -> Vec<u8> {
    plain(0xB, &[0, 4 << 20, 0x1_0000, 0x1000, 0x100, 0xFFFF])
}

fn stub_session() -> Vec<Step> {
    let data = noise(40_000);
    let write = |address, value| plain(9, &[address, value, u32::MAX, 0]);
    let mismatch = request(3, &[words(&[8, 2, 0, 0]), vec![0; 4]].concat(), 0xEF);
    let two = plain(
        9,
        &[
            0x6000_2060,
            0x11,
            u32::MAX,
            0,
            0x6000_2064,
            0x22,
            u32::MAX,
            0,
        ],
    );
    let mut steps = vec![
        ("SYNC", sync(), "010804000707122000000000"),
        (
            "SPI_ATTACH",
            plain(0xD, &[0, 0]),
            "010d04000707122000000000",
        ),
        (
            "W 60002028",
            write(0x6000_2028, 23),
            "010904000707122000000000",
        ),
        (
            "W 60002018",
            write(0x6000_2018, 1 << 31 | 1 << 28),
            "010904000707122000000000",
        ),
        (
            "W 60002020",
            write(0x6000_2020, 7 << 28 | 0x9F),
            "010904000707122000000000",
        ),
        (
            "W 60002058",
            write(0x6000_2058, 0),
            "010904000707122000000000",
        ),
        (
            "W 60002000",
            write(0x6000_2000, 1 << 18),
            "010904000707122000000000",
        ),
        (
            "CMD",
            plain(0xA, &[0x6000_2000]),
            "010a04000000000000000000",
        ),
        (
            "W0 = flash id",
            plain(0xA, &[0x6000_2058]),
            "010a0400c840160000000000",
        ),
        ("WRITE_REG x2", two, "01090400c840160000000000"),
        ("rd", plain(0xA, &[0x6000_2060]), "010a04001100000000000000"),
        ("rd", plain(0xA, &[0x6000_2064]), "010a04002200000000000000"),
        (
            "UARTDEV_BUF_NO",
            plain(0xA, &[0x3FCE_F14C]),
            "010a04000000000000000000",
        ),
        (
            "CHANGE_BAUD 921600",
            plain(0xF, &[921_600, 0]),
            "010f04000000000000000000",
        ),
        (
            "FLASH_BEGIN 20B",
            plain(2, &[0x1000, 4, 0x400, 0x20_0000, 0]),
            "010204000000000001060000",
        ),
        (
            "FLASH_DATA @921600",
            block(3, 0, &data[..0x400]),
            "010304000000000000060000",
        ),
        (
            "FLASH_DATA wrong seq",
            block(3, 7, &data[..0x400]),
            "010304000000000001050000",
        ),
        (
            "FLASH_DATA short",
            block(3, 1, &data[..0x100]),
            "010304000000000000050000",
        ),
        (
            "FLASH_DATA lenmismatch",
            mismatch,
            "010304000000000001050000",
        ),
    ];
    steps.extend(upload("00050000"));
    let z = compress_to_vec_zlib(&data, 9);
    // Incompressible data is stored, so a flipped byte changes one byte and breaks nothing.
    let mut corrupt = z.clone();
    corrupt[0x5000] ^= 0x10;
    let wrong = request(3, &[words(&[4, 0, 0, 0]), vec![1; 4]].concat(), 0x55);
    for (z, announced, end) in [
        (&z, 40_000, "01120200000000000000"),
        (&corrupt, 40_000, "01120200000000000000"),
        (&z, 44_000, "0112020000000000c000"),
    ] {
        let begin = plain(0x10, &[announced, 3, 0x4000, 0x12_0000]);
        steps.extend([
            ("DEFL_BEGIN", begin, "01100200000000000000"),
            (
                "DEFL_DATA 0 len16384",
                block(0x11, 0, &z[..0x4000]),
                "01110200000000000000",
            ),
            (
                "DEFL_DATA 1 len16384",
                block(0x11, 1, &z[0x4000..0x8000]),
                "01110200000000000000",
            ),
            (
                "DEFL_DATA 2",
                block(0x11, 2, &z[0x8000..]),
                "01110200000000000000",
            ),
            (
                "MD5",
                plain(0x13, &[0x12_0000, 40_000, 0, 0]),
                "0113120000000000MD50000",
            ),
            ("DEFL_END stay", plain(0x12, &[1]), end),
        ]);
    }
    steps.extend([
        (
            "FLASH_BEGIN",
            plain(2, &[4, 1, 0x4000, 0x13_0000]),
            "01020200000000000000",
        ),
        ("badck", wrong, "0103020000000000c100"),
        (
            "retry same block",
            block(3, 0, &[1; 4]),
            "01030200000000000000",
        ),
        ("FLASH_END", plain(4, &[1]), "01040200000000000000"),
        (
            "READ_FLASH",
            plain(0xD2, &[0x12_0000, 0x1000, 0x1000, 1]),
            "01d20200000000000000",
        ),
    ]);
    steps
}

fn replay(steps: &[Step]) -> Client {
    let mut client = Client::new();
    for (label, request, expected) in steps {
        let answers = client.ask(request);
        let count = if label.starts_with("SYNC") { 8 } else { 1 };
        let answers: Vec<_> = answers
            .iter()
            .map(|a| shown(a, &mut client.leftover))
            .collect();
        assert!(answers.len() >= count, "{label}: {answers:?}");
        for answer in &answers[..count] {
            assert_eq!(answer, expected, "{label}");
        }
        if label.starts_with("CHANGE_BAUD") {
            client.board.set_baud(921_600);
        }
    }
    client
}

#[test]
fn answers_as_the_rom_and_the_stub_did() {
    replay(&rom_session());
    let mut client = replay(&stub_session());
    // READ_FLASH went on with a data frame, which waits for its receipt, then a digest.
    client.board.write(&slip(&words(&[0x1000])));
    let frames = unslip(&client.board.read());
    let flash = &client.board.flash()[0x12_0000..0x12_1000];
    assert_eq!(frames, [Md5::digest(flash).to_vec()]);
}

#[test]
fn the_stub_greets_after_mem_end() {
    let mut client = Client::new();
    client.ask(&sync());
    let mut last = Vec::new();
    for (_, request, _) in upload("00000000") {
        last = client.ask(&request);
    }
    assert_eq!(last[1..], [b"OHAI".to_vec()]);
}

fn in_stub() -> Client {
    let mut client = Client::new();
    client.ask(&sync());
    for (_, request, _) in upload("00000000") {
        client.ask(&request);
    }
    client
}

fn stream(client: &mut Client, z: &[u8], announced: u32) -> Vec<Option<u8>> {
    client.ask(&plain(0x10, &[announced, 4, 0x4000, 0x12_0000]));
    let status = |answers: Vec<Vec<u8>>| answers.first().map(|answer| answer[8]);
    let blocks = z.chunks(0x4000).enumerate();
    let mut seen: Vec<_> = blocks
        .map(|(n, data)| status(client.ask(&block(0x11, n as u32, data))))
        .collect();
    let answers = client.ask(&plain(0x13, &[0x12_0000, 1_000, 0, 0]));
    seen.push(answers.first().map(|answer| answer[24]));
    seen.push(status(client.ask(&plain(0x12, &[1]))));
    seen
}

#[test]
fn the_stub_s_errors_come_late_and_do_not_stick() {
    let mut z = compress_to_vec_zlib(&noise(55_000), 9);
    assert_eq!(z.chunks(0x4000).count(), 4);
    let good = [0, 0, 0, 0, 0, 0].map(Some);
    assert_eq!(stream(&mut in_stub(), &z, 55_000), good);
    // More than announced: the last block is acknowledged, and nothing after it.
    let hung = [Some(0), Some(0), Some(0), Some(0), None, None];
    assert_eq!(stream(&mut in_stub(), &z, 54_000), hung);
    z[0] ^= 0xFF;
    let header = [0, 0xC7, 0, 0xC7, 0, 0xC0].map(Some);
    assert_eq!(stream(&mut in_stub(), &z, 55_000), header);
}

#[test]
fn two_blocks_at_once_hang_the_stub() {
    let z = compress_to_vec_zlib(&noise(40_000), 9);
    let mut client = in_stub();
    client.ask(&plain(0x10, &[40_000, 3, 0x4000, 0x12_0000]));
    let both = [
        slip(&block(0x11, 0, &z[..0x4000])),
        slip(&block(0x11, 1, &z[0x4000..0x8000])),
    ];
    client.board.write(&both.concat());
    assert_eq!(unslip(&client.board.read()).len(), 1);
    assert!(
        client
            .ask(&plain(0x13, &[0x12_0000, 1_000, 0, 0]))
            .is_empty()
    );
}

fn recordings() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("FIXPOINT_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("data/flash");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: shared/ not there");
    None
}

/// `LABEL op=08 -> HEX (12 B, 2 ms)`
fn recorded(line: &str) -> Option<(&str, Vec<u8>)> {
    let (label, rest) = line.split_once(" op=")?;
    let hex = rest.split_once("-> ")?.1.split_once(' ')?.0;
    let bytes = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16));
    Some((label.trim(), bytes.collect::<Result<_, _>>().ok()?))
}

/// Every recorded line is in the table in the same order, up to the end of the table. Data
/// blocks are compared apart, since the recorded streams have more of them.
#[test]
fn the_tables_are_the_recordings() {
    let Some(folder) = recordings() else {
        return;
    };
    for (file, steps) in [
        ("rom_session.txt", rom_session()),
        ("stub_session.txt", stub_session()),
    ] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let mut leftover = String::new();
        let recorded = text.lines().filter_map(recorded);
        let recorded: Vec<_> = recorded
            .map(|(label, answer)| (label.to_owned(), shown(&answer, &mut leftover)))
            .collect();
        let expected: Vec<_> = steps
            .iter()
            .map(|(label, _, answer)| (label.to_string(), answer.to_string()))
            .collect();
        let is_block = |line: &&(String, String)| line.0.starts_with("DEFL_DATA");
        let others = |lines: &[(String, String)]| -> Vec<_> {
            let mut others: Vec<_> = lines.iter().filter(|l| !is_block(l)).cloned().collect();
            // One recording shows all eight answers to a SYNC, the other only the first.
            others.dedup();
            others
        };
        let expected_others = others(&expected);
        assert_eq!(
            others(&recorded)[..expected_others.len()],
            expected_others,
            "{file}"
        );
        let blocks = |lines: &[(String, String)]| -> BTreeSet<_> {
            lines
                .iter()
                .filter(is_block)
                .map(|line| line.1.clone())
                .collect()
        };
        assert_eq!(blocks(&recorded), blocks(&expected), "{file}");
        println!(
            "{file}: {} kinds of {} recorded answers compared",
            expected_others.len(),
            recorded.len()
        );
    }
}
