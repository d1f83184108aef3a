//! What the board does after a start: boot texts, watchdog, the runtime's link, any bytes.

mod bench;

use bench::{Images, Random, drive};
use fixpoint_board::{ARENA_BYTES, BootMode, Options, Personality, VirtualBoard};
use fixpoint_flash::{Flasher, Prebuilt, partition, plan};
use fixpoint_protocol::ErrorCode;
use fixpoint_protocol::host::{self as link, Action, Board, Event, LinkClient};
use std::path::Path;

fn text(board: &mut VirtualBoard) -> String {
    String::from_utf8_lossy(&board.read()).into_owned()
}

fn flashed() -> (Images, Vec<u8>) {
    let images = Images::new(1);
    let mut board = VirtualBoard::new(None, Options::default());
    let mut flasher = Flasher::new(images.plan(), fixpoint_flash::Options::default());
    drive(&mut flasher, &mut board).0.unwrap();
    (images, board.flash().to_vec())
}

#[test]
fn boots_only_what_is_whole() {
    let (images, flash) = flashed();
    let boot = |flash: &[u8]| {
        let mut board = VirtualBoard::new(Some(flash.to_vec()), Options::default());
        (board.runs_application(), text(&mut board))
    };
    let (runs, log) = boot(&flash);
    assert!(runs);
    for line in [
        "ESP-ROM:esp32s3-20210327\r\n",
        "boot:0x8 (SPI_FAST_FLASH_BOOT)",
        "boot: ## Label            Usage          Type ST Offset   Length",
        "0 factory          factory app      00 00 00010000 000f0000",
        "1 model0           Unknown data     40 00 00100000 00180000",
        "Loaded app from partition at offset 0x10000",
        "on a virtual board",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    let (end_of_boot, end_of_app) = (images.bootloader.len() - 1, images.runtime.len() - 1);
    for (at, complaint) in [
        (0, "invalid header: 0x"),
        (1_000, "SHA-256 comparison failed"),
        (end_of_boot, "SHA-256 comparison failed"),
        (0x8004, "partition table"),
        (0x1_0000, "invalid magic byte"),
        (0x1_000C, "is for chip 8"),
        (0x1_0000 + end_of_app, "image hash failed"),
        (0x1_0100, "Checksum failed"),
    ] {
        let mut broken = flash.clone();
        broken[at] ^= 1;
        let (runs, log) = boot(&broken);
        assert!(!runs && log.contains(complaint), "{at:#x}: {log}");
    }
}

/// The images that the page writes.
#[test]
fn the_prebuilt_images_start() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let read = |name: &str| std::fs::read(folder.join(name));
    let (Ok(bootloader), Ok(table), Ok(runtime)) = (
        read("bootloader.bin"),
        read("partition-table.bin"),
        read("runtime.bin"),
    ) else {
        println!("skipped: firmware/prebuilt/ not there");
        return;
    };
    let expected = partition::build(&partition::default_layout()).unwrap();
    assert_eq!(table, expected, "the default layout");
    let prebuilt = Prebuilt {
        bootloader: &bootloader,
        table: &table,
        runtime: &runtime,
    };
    let plan = plan::standard(&prebuilt, None).unwrap();
    let mut board = VirtualBoard::new(None, Options::default());
    let mut flasher = Flasher::new(plan, fixpoint_flash::Options::default());
    let progress = drive(&mut flasher, &mut board).0.unwrap().progress;
    println!(
        "prebuilt images of {} B: {} B out, {} B in, {} round trips",
        progress.total_bytes, progress.wire_out, progress.wire_in, progress.round_trips
    );
    board.tick(100);
    assert!(board.runs_application(), "{}", text(&mut board));
    assert_eq!(
        hello(&mut board).model.unwrap_err().code,
        ErrorCode::ModelBlank
    );
}

#[test]
fn the_usb_watchdog_ends_an_idle_loader() {
    let options = Options {
        personality: Personality::UsbSerialJtag,
        ..Options::default()
    };
    let mut board = VirtualBoard::new(None, options);
    for (dtr, rts) in [(false, false), (true, false), (true, true), (false, true)] {
        board.set_signals(dtr, rts);
    }
    assert!(text(&mut board).contains("waiting for download"));
    board.tick(8_000);
    assert_eq!(text(&mut board), "");
    board.tick(2_000);
    assert!(text(&mut board).contains("RTCWDT"));
}

/// The shortest way through the USB peripheral's states does not lead into the loader.
#[test]
fn the_usb_request_is_withdrawn_by_both_released() {
    let options = Options {
        personality: Personality::UsbSerialJtag,
        ..Options::default()
    };
    let mut board = VirtualBoard::new(None, options);
    board.read();
    for (dtr, rts) in [(true, false), (false, false), (false, true)] {
        board.set_signals(dtr, rts);
    }
    assert!(text(&mut board).contains("SPI_FAST_FLASH_BOOT"));
}

fn hello(board: &mut VirtualBoard) -> Board {
    let mut client = LinkClient::new(link::Options::default());
    client.connect();
    let (mut now, mut found) = (0, None);
    loop {
        match client.poll(now) {
            Action::Write(bytes) => board.write(&bytes),
            Action::WaitUntil(until) => {
                let bytes = board.read();
                client.on_bytes(&bytes);
                if bytes.is_empty() {
                    now = until.max(now + 1);
                }
            }
            Action::Event(Event::Connected(board)) => found = Some(board),
            Action::Event(_) => {}
            Action::Done => return found.unwrap(),
            Action::Failed(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_runtime_answers_and_says_that_it_is_virtual() {
    let (_, flash) = flashed();
    // The bytes in the slot begin like a model and are none.
    let mut board = VirtualBoard::new(Some(flash.clone()), Options::default());
    let info = hello(&mut board);
    assert!(info.virtual_board && info.chip == 9);
    assert_eq!(info.flash_bytes, 4 << 20);
    assert_eq!(info.arena_available as usize, ARENA_BYTES);
    assert_eq!(info.model.unwrap_err().code, ErrorCode::ModelRefused);

    let mut blank = flash.clone();
    blank[0x10_0000..].fill(0xFF);
    let mut board = VirtualBoard::new(Some(blank), Options::default());
    assert_eq!(
        hello(&mut board).model.unwrap_err().code,
        ErrorCode::ModelBlank
    );
}

#[test]
fn any_bytes_from_the_host_are_survived() {
    let (_, flash) = flashed();
    let mut random = Random(11);
    let boards = [BootMode::HeldInLoader, BootMode::Auto];
    for boot_mode in boards {
        for stub in [false, true] {
            let options = Options {
                boot_mode,
                ..Options::default()
            };
            let mut board = VirtualBoard::new(Some(flash.clone()), options);
            if stub && boot_mode == BootMode::HeldInLoader {
                let options = fixpoint_flash::Options {
                    link: fixpoint_flash::Link::Plain,
                    reset_before: false,
                    ..fixpoint_flash::Options::default()
                };
                let mut flasher = Flasher::new(Images::new(1).plan(), options);
                drive(&mut flasher, &mut board).0.unwrap();
            }
            for _ in 0..3_000 {
                let length = random.below(5) as usize * 4;
                let mut data = bench::noise(random.next(), length);
                if random.below(3) == 0 {
                    data.iter_mut().for_each(|byte| *byte |= 0xFE);
                }
                let op = (random.next() as u8 % 0x18) | [0, 0xD0][random.below(2) as usize];
                let head = [0xC0, 0, op, length as u8, 0, 0, 0, 0, 0];
                board.write(&[&head[..], &data, &[0xC0]].concat());
                board.write(&bench::noise(random.next(), 8));
                board.read();
            }
        }
    }
}
