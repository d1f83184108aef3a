//! The prebuilt image, its headers and its partition table damaged, and all sums mended: what the checks let
//! pass is started.

use std::collections::BTreeMap;
use std::path::Path;

use fixpoint_emulator::boot::{Application, Boot, boot};
use fixpoint_emulator::s3::{Machine, Options, Outcome};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::{Random, cases};

const TABLE: usize = 0x8000;
const RUNTIME: usize = 0x1_0000;
/// Bytes from the start of what was executed that are damaged.
const REACH: u32 = 24;
const RESET: &str = "0x1 (POWERON)";

/// Flash with bootloader, partition table and runtime.
pub(crate) fn prebuilt() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let mut flash = vec![0xFF; 0x6_0000];
    for (start, name) in [
        (0, "bootloader.bin"),
        (TABLE, "partition-table.bin"),
        (RUNTIME, "runtime.bin"),
    ] {
        let bytes = std::fs::read(folder.join(name)).expect("firmware/prebuilt");
        flash[start..start + bytes.len()].copy_from_slice(&bytes);
    }
    flash
}

fn word(flash: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*flash.get(at..)?.first_chunk()?))
}

/// Writes checksum and SHA-256 of the image at `start` anew, where its headers say.
fn mend_image(flash: &mut [u8], start: usize) -> Option<()> {
    let (mut at, mut sum) = (start + 24, 0xEF);
    for _ in 0..flash[start + 1] {
        let size = word(flash, at + 4)? as usize;
        let data = flash.get(at + 8..at.checked_add(8)?.checked_add(size)?)?;
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
        at += 8 + size;
    }
    let end = start + ((at - start) / 16 + 1) * 16;
    *flash.get_mut(end - 1)? = sum;
    let digest = Sha256::digest(&flash[start..end]);
    flash.get_mut(end..end + 32)?.copy_from_slice(&digest);
    Some(())
}

/// Writes the sum of the partition table anew, behind its entries.
fn mend_table(flash: &mut [u8]) {
    let mut end = TABLE;
    while flash[end..end + 2] == [0xAA, 0x50] {
        end += 32;
    }
    let digest = Md5::digest(&flash[TABLE..end]);
    flash[end + 16..end + 32].copy_from_slice(&digest);
}

fn started(flash: &[u8]) -> Option<Application> {
    let mut log = String::new();
    match boot(flash, RESET, &mut log) {
        Boot::Application(application) => Some(application),
        Boot::NoBootloader { .. } | Boot::NoApplication => None,
    }
}

fn end(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Budget => "budget",
        Outcome::Idle => "idle",
        Outcome::Reset(_) => "reset",
        Outcome::Stopped { .. } => "stopped",
    }
}

/// Where in `flash` the instructions lie that the image executes until it waits for its host.
fn executed(flash: &[u8], application: &Application, options: Options) -> Vec<usize> {
    let mut machine = Machine::new(flash, application, options).expect("segments that fit");
    machine.uart_input(b"hello");
    assert_eq!(machine.run(50_000_000), Outcome::Idle);
    let blocks = [0, 1].map(|core| machine.take_counts(core).blocks);
    let places = blocks
        .iter()
        .flat_map(BTreeMap::keys)
        .filter_map(|address| {
            let mut segments = application.segments.iter();
            let segment = segments.find(|s| {
                let offset = address.wrapping_sub(s.address);
                offset < s.size && s.size - offset >= REACH
            })?;
            Some((segment.at + (address - segment.address)) as usize)
        });
    places.collect()
}

#[test]
fn damaged_code_that_passes_the_checks() {
    let mut whole = prebuilt();
    whole.resize(4 << 20, 0xFF);
    let options = |psram_bytes| Options {
        psram_bytes,
        usb_host: true,
        ..Options::default()
    };
    let application = started(&whole).expect("the prebuilt image");
    let mut random = Random(5);
    let (mut instructions, mut ends) = (0, BTreeMap::<_, usize>::new());
    let count = cases(400);
    for psram in [0, 2 << 20, 8 << 20] {
        let places = executed(&whole, &application, options(psram));
        assert!(places.len() > 300, "{}", places.len());
        for _ in 0..count / 3 {
            let mut flash = whole.clone();
            for _ in 0..=random.below(3) {
                let at = places[random.below(places.len())] + random.below(REACH as usize);
                flash[at] ^= 1 << random.below(8);
            }
            mend_image(&mut flash, RUNTIME).expect("a whole image");
            let application = started(&flash).expect("sums that fit");
            let Ok(mut machine) = Machine::new(&flash, &application, options(psram)) else {
                panic!("segments that fit")
            };
            machine.uart_input(&random.next().to_le_bytes());
            let outcome = machine.run(300_000);
            *ends.entry(end(outcome)).or_default() += 1;
            if outcome == Outcome::Idle {
                machine.usb_input(&random.next().to_le_bytes());
                machine.skip(10);
                machine.run(100_000);
            }
            instructions += machine.executed();
        }
    }
    println!(
        "{instructions} instructions of {count} damaged images whose sums fit; ends: {ends:?}"
    );
    assert!(instructions > 5_000 * count as u64);
}

#[test]
fn damaged_headers_that_pass_the_checks() {
    let whole = prebuilt();
    let mut random = Random(6);
    let (mut applications, mut machines) = (0, 0);
    let count = cases(2_000);
    for _ in 0..count {
        let mut flash = whole.clone();
        // The headers of the image and of its segments.
        let mut headers = vec![RUNTIME + 1, RUNTIME + 4, RUNTIME + 16];
        let mut at = RUNTIME + 24;
        for _ in 0..flash[RUNTIME + 1] {
            headers.extend([at, at + 4]);
            at += 8 + word(&flash, at + 4).expect("a header") as usize;
        }
        for _ in 0..=random.below(2) {
            let at = headers[random.below(headers.len())];
            let value = match random.below(4) {
                0 => random.word(),
                1 => word(&flash, at).expect("a header") ^ 1 << random.below(32),
                2 => word(&flash, at).expect("a header") & 0xFFFF_0000,
                _ => u32::MAX - random.below(0x100) as u32,
            };
            let bytes = if at == RUNTIME + 1 { 1 } else { 4 };
            flash[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        }
        if random.below(4) == 0 {
            let entry = TABLE + 32 * random.below(4);
            let at = entry + 2 + random.below(26);
            flash[at] = random.next() as u8;
            let at = entry + 4 + 4 * random.below(2);
            let offset = random.word();
            flash[at..at + 4].copy_from_slice(&offset.to_le_bytes());
            mend_table(&mut flash);
        }
        mend_image(&mut flash, RUNTIME);
        if random.below(8) == 0 {
            flash.truncate(random.below(0x6_0000));
        }
        if let Some(application) = started(&flash) {
            applications += 1;
            if let Ok(mut machine) = Machine::new(&flash, &application, Options::default()) {
                machines += 1;
                machine.run(20_000);
            }
        }
    }
    println!(
        "{count} damaged headers with sums that fit: {applications} pass, {machines} can be loaded"
    );
    assert!(applications > count / 4 && machines > 0);
}
