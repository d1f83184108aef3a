//! The flasher against the chip's own mask ROM and the real stub, in Espressif's QEMU; then the
//! firmware that was flashed, its link, and a model that goes over it.
//!
//! `QEMU_ESP` names a `qemu-system-xtensa` with the machine `esp32s3`
//! (<https://github.com/espressif/qemu>); without it nothing is tried. `FIRMWARE` may name a folder with images
//! other than the prebuilt ones, `QEMU_ESP_DATA` one with QEMU's ROM files.

mod bench;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use bench::Images;
use fixpoint_flash::{Action, Event, FlashPlan, Flasher, Link, Options, Summary, plan};
use fixpoint_protocol::host::{self, LinkClient};

/// A running QEMU and its UART; ended with the value.
struct Chip {
    child: Child,
    stream: TcpStream,
    start: Instant,
}

impl Chip {
    /// `download`: strapped as if BOOT were held.
    fn start(qemu: &Path, flash: &Path, download: bool) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(qemu);
        command.args([
            "-M",
            "esp32s3",
            "-nic",
            "none",
            "-nographic",
            "-monitor",
            "none",
        ]);
        if let Some(data) = std::env::var_os("QEMU_ESP_DATA") {
            command.arg("-L").arg(data);
        }
        command.args([
            "-drive",
            &format!("file={},if=mtd,format=raw", flash.display()),
        ]);
        command.args([
            "-serial",
            &format!("tcp:127.0.0.1:{port},server,nowait,nodelay=on"),
        ]);
        if download {
            command.args([
                "-global",
                "driver=esp32s3.gpio,property=strap_mode,value=0x07",
            ]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) => {
                    let ended = child.try_wait().unwrap();
                    assert!(ended.is_none(), "QEMU ended: {ended:?}");
                    assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
                    thread::sleep(Duration::from_millis(50));
                }
            }
        };
        stream.set_nodelay(true).unwrap();
        Self {
            child,
            stream,
            start: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn read_until(&mut self, until: u64) -> Vec<u8> {
        let wait = until.saturating_sub(self.now()).clamp(1, 100);
        self.stream
            .set_read_timeout(Some(Duration::from_millis(wait)))
            .unwrap();
        let mut bytes = vec![0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(count) => bytes.truncate(count),
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    "{error}"
                );
                bytes.clear();
            }
        }
        bytes
    }

    fn flash(&mut self, plan: FlashPlan, options: Options) -> Summary {
        let mut flasher = Flasher::new(plan, options);
        loop {
            match flasher.poll(self.now()) {
                Action::Write(bytes) => self.stream.write_all(&bytes).unwrap(),
                Action::SetSignals { .. } | Action::SetBaud(_) => {}
                Action::Wait { until_ms } => {
                    let bytes = self.read_until(until_ms);
                    flasher.on_bytes(&bytes);
                }
                Action::Done(outcome) => {
                    return outcome.unwrap_or_else(|error| panic!("{error}"));
                }
            }
            for event in flasher.take_events() {
                if let Event::Note { text } = event {
                    println!("  {text}");
                }
            }
        }
    }

    fn talk(&mut self, client: &mut LinkClient) -> Option<host::Event> {
        let mut last = None;
        loop {
            match client.poll(self.now()) {
                host::Action::Write(bytes) => self.stream.write_all(&bytes).unwrap(),
                host::Action::WaitUntil(until) => {
                    let bytes = self.read_until(until);
                    client.on_bytes(&bytes);
                }
                host::Action::Event(host::Event::Console(text)) => print!("{text}"),
                host::Action::Event(event) => last = Some(event),
                host::Action::Done => return last,
                host::Action::Failed(error) => panic!("{error}"),
            }
        }
    }

    fn hello(&mut self) -> (LinkClient, host::Board) {
        let mut client = LinkClient::new(host::Options {
            connect_ms: 60_000,
            reply_ms: 20_000,
            ..host::Options::default()
        });
        client.connect();
        self.talk(&mut client);
        let board = client.board().unwrap().clone();
        (client, board)
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn images(seed: u64) -> Images {
    let prebuilt = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let folder = std::env::var_os("FIRMWARE").map_or(prebuilt, PathBuf::from);
    let read = |name: &str| fs::read(folder.join(name)).expect("firmware images");
    Images {
        bootloader: read("bootloader.bin"),
        table: read("partition-table.bin"),
        runtime: read("runtime.bin"),
        model: bench::model(seed, 20_000),
    }
}

fn id(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[12..16].try_into().unwrap())
}

#[test]
fn the_real_rom_and_stub_take_the_session() {
    let Some(qemu) = std::env::var_os("QEMU_ESP").map(PathBuf::from) else {
        println!("skipped: QEMU_ESP does not name Espressif's qemu-system-xtensa");
        return;
    };
    let flash = Path::new(env!("CARGO_TARGET_TMPDIR")).join("qemu-flash.bin");
    fs::write(&flash, vec![0xFF; 4 << 20]).unwrap();
    let options = Options {
        link: Link::Plain,
        reset_before: false,
        ..Options::default()
    };
    let images = images(1);
    // A first flash by the stub, and once more: nothing to do, by the ROM alone.
    for (again, stub) in [(false, true), (true, false)] {
        let mut chip = Chip::start(&qemu, &flash, true);
        let summary = chip.flash(images.plan(), options.clone());
        println!(
            "{}: {} B out, {} B in, {} round trips",
            if again {
                "nothing changed"
            } else {
                "first flash"
            },
            summary.progress.wire_out,
            summary.progress.wire_in,
            summary.progress.round_trips
        );
        assert_eq!(summary.stub, stub);
        assert_eq!(summary.segments.iter().all(|s| s.written == 0), again);
        assert_eq!(summary.chip.flash_bytes, 4 << 20);
    }
    // Another model, written by the ROM's own commands.
    let second = bench::model(2, 20_000);
    let mut chip = Chip::start(&qemu, &flash, true);
    let alone = plan::model_only(&images.table, &second).unwrap();
    let summary = chip.flash(alone, options);
    assert!(!summary.stub && summary.segments[0].written > 0);
    drop(chip);

    let mut chip = Chip::start(&qemu, &flash, false);
    let (mut client, board) = chip.hello();
    println!("{board:?}");
    let runs = board.model.as_ref().map(|model| model.id).ok();
    if board.model_room == 0 {
        println!("skipped: these images are of before models went over the link");
        return;
    }
    assert_eq!(runs, Some(id(&second)), "the record decides");
    let third = bench::model(3, 20_000);
    client.update_model(third.clone());
    assert_eq!(
        chip.talk(&mut client),
        Some(host::Event::Updated(id(&third)))
    );
    drop(chip);
    let mut chip = Chip::start(&qemu, &flash, false);
    let (_, board) = chip.hello();
    assert_eq!(board.model.map(|model| model.id), Ok(id(&third)));
}
