//! What the board does after a start: boot texts, watchdog, the runtime's link, any bytes.

mod bench;

use bench::{Images, Random, drive, prebuilt_flasher};
use fixpoint_board::{BootMode, Options, Personality, VirtualBoard};
use fixpoint_flash::Flasher;
use fixpoint_protocol::ErrorCode;
use fixpoint_protocol::host::{self as link, Action, Board, Event, LinkClient};
use sha2::Digest;

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
        "0 otadata          OTA data         01 00 00009000 00002000",
        "1 app0             OTA app          00 10 00010000 00070000",
        "3 model0           Unknown data     40 00 00100000 00180000",
        "Loaded app from partition at offset 0x10000",
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

/// A board with the images that the page writes, and a model.
fn with_the_runtime(model: Option<&[u8]>) -> (VirtualBoard, String) {
    let mut board = VirtualBoard::new(None, Options::default());
    let mut flasher = prebuilt_flasher(model);
    let (outcome, log) = drive(&mut flasher, &mut board);
    let progress = outcome.unwrap().progress;
    println!(
        "prebuilt images of {} B: {} B out, {} B in, {} round trips",
        progress.total_bytes, progress.wire_out, progress.wire_in, progress.round_trips
    );
    board.tick(100);
    (board, log.text())
}

#[test]
fn the_prebuilt_images_start() {
    // Some of it was heard by the flasher, which waited for the runtime.
    let (mut board, mut said) = with_the_runtime(None);
    for _ in 0..10 {
        said += &text(&mut board);
    }
    assert!(board.runs_application(), "{said}");
    assert!(said.contains("Loaded app from partition"), "{said}");
    assert!(said.contains("Fixpoint: no model to run"), "{said}");
    assert_eq!(
        hello(&mut board).model.unwrap_err().code,
        ErrorCode::ModelBlank
    );
}

/// A program that hits what is not modelled says where, and a reset brings the board back.
#[test]
fn what_is_not_modelled_is_told_on_the_console() {
    let (images, mut flash) = flashed();
    // l32i a2, a2, 0 (a2 is zero) instead of waiti, and the sums that go with it.
    let start = 0x1_0000;
    let runtime = &mut flash[start..start + images.runtime.len()];
    let sums = runtime.len() - 33;
    let code = runtime
        .windows(3)
        .rposition(|code| code == [0x00, 0x7F, 0x00]);
    let code = code.unwrap();
    runtime[code..code + 3].copy_from_slice(&[0x22, 0x22, 0x00]);
    runtime[sums] ^= 0x7F ^ 0x22 ^ 0x22;
    let hash = sha2::Sha256::digest(&runtime[..=sums]);
    runtime[sums + 1..].copy_from_slice(&hash);
    let options = Options {
        personality: Personality::UsbSerialJtag,
        ..Options::default()
    };
    let mut board = VirtualBoard::new(Some(flash), options);
    assert!(text(&mut board).contains("Loaded app"));
    let said = text(&mut board);
    assert!(
        said.contains("core 0 at 0x40378000: load from 0x00000000, where nothing is modelled"),
        "{said}"
    );
    assert!(!board.runs_application());
    board.set_signals(false, true);
    assert!(board.runs_application());
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
    match converse(board, &mut |_| {}) {
        Some(Event::Connected(found)) => found,
        other => panic!("{other:?}"),
    }
}

/// Connects and begins another job; the last event but text.
fn converse(board: &mut VirtualBoard, job: &mut dyn FnMut(&mut LinkClient)) -> Option<Event> {
    let mut client = LinkClient::new(link::Options::default());
    client.connect();
    let (mut now, mut last, mut begun) = (0, None, false);
    loop {
        match client.poll(now) {
            Action::Write(bytes) => board.write(&bytes),
            Action::WaitUntil(until) => {
                let bytes = board.read();
                client.on_bytes(&bytes);
                if bytes.is_empty() {
                    board.tick(until.saturating_sub(now).max(1) as u32);
                    now = until.max(now + 1);
                }
            }
            Action::Event(Event::Console(_)) => {}
            Action::Event(event) => last = Some(event),
            Action::Done if !begun => {
                begun = true;
                job(&mut client);
            }
            Action::Done => return last,
            Action::Failed(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_runtime_answers() {
    // The bytes in the slot begin like a model and are none.
    let mut model = bench::model(1, 50_003);
    model[1_000] ^= 1;
    let info = hello(&mut with_the_runtime(Some(&model)).0);
    assert_eq!(info.chip, 9);
    assert!(info.arena_available >= 256 << 10);
    assert_eq!(info.model.unwrap_err().code, ErrorCode::ModelRefused);
}

/// The firmware writes its own flash, in the emulator as on the chip.
#[test]
fn the_runtime_takes_a_model_over_the_link() {
    let old = bench::model(1, 20_000);
    let new = bench::model(2, 20_000);
    let id = |image: &[u8]| u32::from_le_bytes(image[12..16].try_into().unwrap());
    let (mut board, _) = with_the_runtime(Some(&old));
    let found = hello(&mut board);
    if found.model_room == 0 {
        println!("skipped: firmware/prebuilt is of before models went over the link");
        return;
    }
    assert_eq!(found.model.unwrap().id, id(&old));
    let updated = converse(&mut board, &mut |client| client.update_model(new.clone()));
    assert_eq!(updated, Some(Event::Updated(id(&new))));
    let restarted = hello(&mut board);
    assert_eq!(restarted.model.unwrap().id, id(&new));
    let flash = board.flash().to_vec();
    assert!(flash[0x10_0000..].starts_with(&old) && flash[0x28_0000..].starts_with(&new));
    let mut board = VirtualBoard::new(Some(flash), Options::default());
    assert_eq!(hello(&mut board).model.unwrap().id, id(&new));
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
