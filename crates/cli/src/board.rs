//! `fixpoint board`: the virtual board behind a TCP port, for trying things out and for tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fixpoint_board::{BootMode, Options, VirtualBoard};

use crate::failure::Failure;
use crate::files;
use crate::port;

/// There are no reset lines over TCP: every new connection finds the board just powered. A blank board
/// waits in download mode, like one whose BOOT button is held; after it was written to, the next connection finds it
/// running.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes any free one. The address is printed.
    #[arg(
        long,
        value_name = "tcp://HOST:PORT",
        default_value = "tcp://127.0.0.1:7350"
    )]
    listen: String,
    /// File with the flash's contents: read at the start if it is there, written after every connection.
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Start the first connection in download mode, to flash a board that isn't blank.
    #[arg(long)]
    download: bool,
    /// End after that many connections
    #[arg(long, value_name = "N")]
    connections: Option<u32>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut flash = match &args.flash {
        Some(path) if path.exists() => Some(files::read(path)?),
        _ => None,
    };
    let failed = |e: std::io::Error| {
        Failure::new(format!("can't listen at {}: {e}", args.listen))
            .help("choose another port with --listen")
    };
    let listener = TcpListener::bind(port::listen_address(&args.listen)?).map_err(failed)?;
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
        let options = Options {
            boot_mode: match loader {
                true => BootMode::HeldInLoader,
                false => BootMode::NoAutoReset,
            },
            ..Options::default()
        };
        let mut board = VirtualBoard::new(flash.take(), options);
        if let Err(error) = serve(&mut board, stream) {
            eprintln!("{peer}: {error}");
        }
        eprintln!("{peer} is gone; the next connection restarts the board");
        let after = board.flash().to_vec();
        if let Some(path) = &args.flash {
            files::write(path, &after)?;
        }
        flash = Some(after);
        if args.connections.is_some_and(|limit| number >= limit) {
            break;
        }
    }
    Ok(())
}

/// Carries bytes both ways until the connection ends.
fn serve(board: &mut VirtualBoard, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(5)))?;
    let mut last = Instant::now();
    let mut bytes = vec![0; 64 << 10];
    while board.connected() {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => board.write(&bytes[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset => break,
                _ => return Err(error),
            },
        }
        let passed = last.elapsed().as_millis();
        last += Duration::from_millis(passed as u64);
        board.tick(u32::try_from(passed).unwrap_or(u32::MAX));
        let reply = board.read();
        if !reply.is_empty() {
            stream.write_all(&reply)?;
        }
    }
    Ok(())
}
