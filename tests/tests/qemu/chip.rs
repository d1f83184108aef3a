//! Espressif's QEMU with its machine `esp32s3`, the mask ROM's own code inside, and its UART.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use fixpoint_flash::{Action, Event, FlashPlan, Flasher, Options, Summary};
use fixpoint_protocol::host::{self, LinkClient};

/// The PSRAM of a board, as its eFuses tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Psram {
    None,
    Quad2,
    Octal8,
}

/// Bytes of the eFuse controller's read registers as QEMU keeps them in a file.
const EFUSES: usize = 336;
/// In it, the word with `PSRAM_CAP`.
const PSRAM_CAP: usize = 40;

impl Psram {
    /// QEMU's options; the eFuses' file is written to `folder`.
    fn options(self, folder: &Path) -> Vec<String> {
        let (cap, mut options) = match self {
            Self::None => return Vec::new(),
            Self::Quad2 => (0x10, vec!["-m", "2M"]),
            Self::Octal8 => (
                0x08,
                vec![
                    "-m",
                    "8M",
                    "-global",
                    "driver=ssi_psram,property=is_octal,value=true",
                ],
            ),
        };
        let mut efuses = vec![0; EFUSES];
        efuses[PSRAM_CAP] = cap;
        let file = folder.join(format!("qemu-efuse-{cap:02x}.bin"));
        fs::write(&file, efuses).unwrap();
        let drive = format!("file={},if=none,format=raw,id=efuse", file.display());
        options.extend([
            "-drive",
            &drive,
            "-global",
            "driver=nvram.esp32s3.efuse,property=drive,value=efuse",
        ]);
        options.into_iter().map(String::from).collect()
    }
}

/// What `QEMU_ESP` names; `None`, and a line that says so, when it isn't set.
pub(crate) fn qemu() -> Option<PathBuf> {
    let qemu = std::env::var_os("QEMU_ESP").map(PathBuf::from);
    if qemu.is_none() {
        println!("skipped: QEMU_ESP does not name Espressif's qemu-system-xtensa");
    }
    qemu
}

/// A running QEMU and its UART; ended with the value.
pub(crate) struct Chip {
    child: Child,
    stream: TcpStream,
    start: Instant,
}

impl Chip {
    /// `download`: strapped as if BOOT were held.
    pub(crate) fn start(qemu: &Path, flash: &Path, download: bool) -> Self {
        Self::with_psram(qemu, flash, download, Psram::None)
    }

    /// The same on a board with PSRAM.
    pub(crate) fn with_psram(qemu: &Path, flash: &Path, download: bool, psram: Psram) -> Self {
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
        command.args(psram.options(flash.parent().unwrap()));
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

    pub(crate) fn flash(&mut self, plan: FlashPlan, options: Options) -> Summary {
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

    pub(crate) fn talk(&mut self, client: &mut LinkClient) -> Option<host::Event> {
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

    pub(crate) fn hello(&mut self) -> (LinkClient, host::Board) {
        let mut client = LinkClient::new(host::Options {
            connect_ms: 60_000,
            reply_ms: 20_000,
            run_silence_ms: 120_000,
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
