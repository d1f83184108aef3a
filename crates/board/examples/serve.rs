//! Offers a virtual board on a TCP port, for clients that are not ours:
//!
//! ```sh
//! cargo run -p fixpoint-board --example serve -- 5555 flash.bin
//! esptool --port socket://127.0.0.1:5555 --before no-reset --after no-reset flash-id
//! ```
//!
//! The board is held in the loader, since TCP carries no signals. The flash file is read at the start,
//! if it is there, and written after each connection. One connection at a time.

use fixpoint_board::{BootMode, Options, VirtualBoard};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpListener;
use std::time::Duration;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or("5555".into());
    let file = arguments.next();
    let flash = file.as_ref().and_then(|path| std::fs::read(path).ok());
    let options = Options {
        boot_mode: BootMode::HeldInLoader,
        ..Options::default()
    };
    let mut board = VirtualBoard::new(flash, options);
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("virtual board at {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(5)))?;
        let before = board.wire_bytes();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => board.write(&buffer[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => board.tick(5),
                    _ => break,
                },
            }
            let answer = board.read();
            if stream.write_all(&answer).is_err() {
                break;
            }
        }
        let after = board.wire_bytes();
        let (heard, said) = (after.0 - before.0, after.1 - before.1);
        println!("connection closed: {heard} B received, {said} B sent");
        if let Some(path) = &file {
            std::fs::write(path, board.flash())?;
        }
    }
    Ok(())
}
