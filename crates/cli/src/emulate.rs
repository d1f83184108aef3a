//! `fixpoint emulate`: an ESP32-S3 in software, on the terminal or behind a TCP port.

mod report;

use std::io::{ErrorKind, Read, Write, stdin, stdout};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fixpoint_board::{BootMode, Options, VirtualBoard};

use crate::failure::Failure;
use crate::files;
use crate::port;

/// Boots what is in flash, as a board does: UART0 on this terminal, or on a TCP port with --listen.
///
/// There are no reset lines over TCP: every new connection finds the board just powered. A blank board
/// waits in download mode, like one whose BOOT button is held; after it was written to, the next
/// connection finds it running.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes any free one. The address is printed.
    #[arg(long, value_name = "tcp://HOST:PORT")]
    listen: Option<String>,
    /// File with the flash's contents: read at the start if it is there, written when they have changed.
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Start the first connection in download mode, to flash a board that isn't blank: for esptool, which
    /// can't reset a board over TCP.
    #[arg(long)]
    download: bool,
    /// Megabytes of PSRAM in the chip's package: 2, 4, 8 or 16, or 0 for none
    #[arg(long, value_name = "MB", default_value = "8", value_parser = ["0", "2", "4", "8", "16"])]
    psram: String,
    /// End after that many connections
    #[arg(long, value_name = "N", requires = "listen")]
    connections: Option<u32>,
    /// Print at the end what was executed, by class of instruction
    #[arg(long)]
    counts: bool,
    /// The program's ELF file: print what was executed by function
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
}

/// How long a board that only waits is left alone.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at the flash, so that little is lost when this program is ended.
const KEEPING: Duration = Duration::from_secs(1);
/// How esptool begins: the ROM's SYNC.
const SYNC: [u8; 6] = [0xC0, 0x00, 0x08, 0x24, 0x00, 0x00];

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let flash = match &args.flash {
        Some(path) if path.exists() => Some(files::read(path)?),
        Some(path) => {
            files::check_folder_of(path)?;
            None
        }
        None => None,
    };
    match &args.listen {
        Some(address) => listen(args, address, flash),
        None => on_terminal(args, flash),
    }
}

fn on_terminal(args: &Args, flash: Option<Vec<u8>>) -> Result<(), Failure> {
    let flash = flash.ok_or_else(|| {
        Failure::new("there is no flash to boot from")
            .help("give a file with --flash, or flash one through --listen first")
    })?;
    let boot_mode = match args.download {
        true => BootMode::HeldInLoader,
        false => BootMode::NoAutoReset,
    };
    let mut line = Line::new(args, Some(flash), boot_mode);
    let typed = typed();
    let mut closed = false;
    while !closed || !line.board.waits() {
        let pause = match line.board.waits() {
            true => PAUSE,
            false => Duration::ZERO,
        };
        match typed.recv_timeout(pause) {
            Ok(bytes) => line.send(&bytes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => closed = true,
        }
        let mut out = stdout();
        let shown = out.write_all(&line.receive()).and_then(|()| out.flush());
        if shown.is_err() {
            break;
        }
    }
    line.report(args)
}

/// What comes on standard input, until it is closed.
fn typed() -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 4 << 10];
        while let Ok(count @ 1..) = stdin().read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn listen(args: &Args, address: &str, mut flash: Option<Vec<u8>>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(format!("can't listen at {address}: {e}"))
            .help("choose another port with --listen")
    };
    let listener = TcpListener::bind(port::listen_address(address)?).map_err(failed)?;
    println!("tcp://{}", listener.local_addr().map_err(failed)?);
    std::io::stdout().flush().map_err(failed)?;

    let mut download = args.download;
    for number in 1.. {
        let (stream, peer) = listener.accept().map_err(failed)?;
        let blank = flash
            .as_ref()
            .is_none_or(|flash| flash.iter().all(|&byte| byte == 0xFF));
        let loader = std::mem::take(&mut download) || blank;
        eprintln!(
            "{peer} connected; the board {}",
            if loader {
                "waits in download mode"
            } else {
                "starts from its flash"
            }
        );
        let boot_mode = match loader {
            true => BootMode::HeldInLoader,
            false => BootMode::NoAutoReset,
        };
        let mut line = Line::new(args, flash.take(), boot_mode);
        let mut kept = Kept {
            path: args.flash.as_deref(),
            bytes: line.board.flash().to_vec(),
        };
        if let Err(error) = serve(&mut line, stream, &mut kept, !loader)? {
            eprintln!("{peer}: {error}");
        }
        eprintln!("{peer} is gone; the next connection restarts the board");
        kept.keep(&line)?;
        line.report(args)?;
        flash = Some(kept.bytes);
        if args.connections.is_some_and(|limit| number >= limit) {
            break;
        }
    }
    Ok(())
}

/// The flash as its file has it.
struct Kept<'p> {
    path: Option<&'p Path>,
    bytes: Vec<u8>,
}

impl Kept<'_> {
    /// A file that isn't one of a flash, given by mistake, stays as it is until something is flashed.
    fn keep(&mut self, line: &Line) -> Result<(), Failure> {
        let flash = line.board.flash();
        if flash != self.bytes {
            if let Some(path) = self.path {
                files::write(path, flash)?;
            }
            self.bytes = flash.to_vec();
        }
        Ok(())
    }
}

/// Carries bytes both ways until the connection ends; inside, what went wrong with it.
fn serve(
    line: &mut Line,
    stream: TcpStream,
    kept: &mut Kept<'_>,
    runs: bool,
) -> Result<std::io::Result<()>, Failure> {
    let (mut looked, mut hinted) = (Instant::now(), !runs);
    let mut stream = stream;
    let mut bytes = vec![0; 64 << 10];
    let set = stream.set_nodelay(true);
    if let Err(error) = set.and_then(|()| stream.set_read_timeout(Some(PAUSE))) {
        return Ok(Err(error));
    }
    while line.board.connected() {
        if looked.elapsed() > KEEPING {
            kept.keep(line)?;
            looked = Instant::now();
        }
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                let sent = &bytes[..count];
                if !hinted && sent.windows(SYNC.len()).any(|window| window == SYNC) {
                    eprintln!(
                        "somebody asks for the loader, but the board runs its program and can't be reset \
                         over TCP: start again with --download"
                    );
                    hinted = true;
                }
                line.send(sent);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset => break,
                _ => return Ok(Err(error)),
            },
        }
        let reply = line.receive();
        if !reply.is_empty()
            && let Err(error) = stream.write_all(&reply)
        {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// A board on which the time of this machine passes.
struct Line {
    board: VirtualBoard,
    last: Instant,
    /// Time that was spent emulating.
    busy: Duration,
}

impl Line {
    fn new(args: &Args, flash: Option<Vec<u8>>, boot_mode: BootMode) -> Self {
        // One of the numbers above.
        let megabytes = args.psram.parse().unwrap_or(0);
        let options = Options {
            boot_mode,
            psram_bytes: megabytes << 20,
            ..Options::default()
        };
        Self {
            board: VirtualBoard::new(flash, options),
            last: Instant::now(),
            busy: Duration::ZERO,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let start = Instant::now();
        self.board.write(bytes);
        self.busy += start.elapsed();
    }

    fn receive(&mut self) -> Vec<u8> {
        let passed = self.last.elapsed().as_millis();
        self.last += Duration::from_millis(passed as u64);
        let start = Instant::now();
        let works = !self.board.waits();
        self.board.tick(u32::try_from(passed).unwrap_or(u32::MAX));
        let bytes = self.board.read();
        if works {
            self.busy += start.elapsed();
        }
        bytes
    }

    fn report(&mut self, args: &Args) -> Result<(), Failure> {
        if !args.counts && args.elf.is_none() {
            return Ok(());
        }
        let cores = self.board.take_counts().unwrap_or_default();
        let all: u64 = cores.iter().map(|counts| counts.total.instructions).sum();
        let seconds = self.busy.as_secs_f64();
        if seconds > 0.0 {
            let speed = all as f64 / seconds / 1e6;
            eprintln!("\nemulated at {speed:.0} million instructions a second");
        }
        for (core, counts) in cores.iter().enumerate() {
            if counts.total.instructions == 0 {
                continue;
            }
            eprint!("{}", report::classes(core, counts));
            if let Some(path) = &args.elf {
                let file = files::read(path)?;
                let functions = report::functions(counts, &file);
                let functions = functions
                    .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
                eprint!("{functions}");
            }
        }
        Ok(())
    }
}
