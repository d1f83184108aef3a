//! Whole sessions of the flasher against the virtual board.

mod bench;

use bench::{Images, drive, holds};
use fixpoint_board::{BootMode, Options as BoardOptions, Personality, VirtualBoard};
use fixpoint_flash::{Flasher, Link, Options};

fn board(options: BoardOptions) -> VirtualBoard {
    VirtualBoard::new(None, options)
}

#[test]
fn a_blank_board_is_flashed_and_starts() {
    let images = Images::new(7);
    for stub in [true, false] {
        for (personality, link) in [
            (Personality::UartBridge, Link::UartBridge),
            (Personality::UsbSerialJtag, Link::UsbSerialJtag),
        ] {
            let mut board = board(BoardOptions {
                personality,
                ..BoardOptions::default()
            });
            let options = Options {
                stub,
                link,
                baud: 921_600,
                ..Options::default()
            };
            let plan = images.plan();
            let (outcome, log) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
            let summary =
                outcome.unwrap_or_else(|e| panic!("{e} {stub} {link:?}\n{:?}", log.events));
            assert!(holds(&board, &plan));
            assert_eq!(summary.stub, stub);
            assert_eq!(summary.chip.flash_bytes, 4 << 20);
            assert_eq!(summary.chip.mac, "02:46:58:50:00:01");
            assert_eq!(summary.chip.revision, "v0.2");
            let fast = if link == Link::UartBridge {
                921_600
            } else {
                115_200
            };
            assert_eq!(summary.baud, fast);
            assert_eq!(summary.progress.done_bytes, plan.total_bytes());
            board.tick(100);
            assert!(
                board.runs_application(),
                "{}",
                String::from_utf8_lossy(&board.read())
            );
            println!(
                "stub {stub:5}, {link:?}: {} B image, {} B out, {} B in, {} round trips, {} ms",
                plan.total_bytes(),
                summary.progress.wire_out,
                summary.progress.wire_in,
                summary.progress.round_trips,
                summary.progress.elapsed_ms,
            );
        }
    }
}

#[test]
fn a_board_held_in_the_loader_needs_no_signals() {
    let mut board = board(BoardOptions {
        boot_mode: BootMode::HeldInLoader,
        ..BoardOptions::default()
    });
    let options = Options {
        link: Link::Plain,
        reset_before: false,
        ..Options::default()
    };
    let plan = Images::new(3).plan();
    let (outcome, log) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
    assert!(!outcome.unwrap().restarted);
    assert!(holds(&board, &plan));
    assert_eq!(log.signals, []);
}
