//! Other people's flashing programs against the virtual board, over TCP.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use fixpoint_board::{BootMode, Options, VirtualBoard};

/// What went over the wire in one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    /// Bytes to the board.
    pub(crate) out: u64,
    pub(crate) back: u64,
    /// Times that the host spoke after the board had.
    pub(crate) turns: u64,
}

impl Wire {
    pub(crate) fn both(&self) -> u64 {
        self.out + self.back
    }

    /// Counts from what the board has seen so far.
    pub(crate) fn see(&mut self, (out, back): (u64, u64)) {
        if out > self.out && back > 0 && self.back != back {
            self.turns += 1;
        }
        (self.out, self.back) = (out, back);
    }
}

/// A board in its loader with `flash`, served for one connection while `client` runs with the
/// port's number; what the client gave, the flash afterwards, and the traffic.
pub(crate) fn serve<T: Send>(
    flash: Vec<u8>,
    client: impl FnOnce(u16) -> T + Send,
) -> (T, Vec<u8>, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(move || client(port));
        let options = Options {
            boot_mode: BootMode::HeldInLoader,
            ..Options::default()
        };
        let mut board = VirtualBoard::new(Some(flash), options);
        let mut wire = Wire::default();
        while !client.is_finished() {
            if let Ok((stream, _)) = listener.accept() {
                converse(&mut board, stream, &mut wire).unwrap();
            }
            thread::sleep(Duration::from_millis(2));
        }
        (client.join().unwrap(), board.flash().to_vec(), wire)
    })
}

fn converse(
    board: &mut VirtualBoard,
    mut stream: std::net::TcpStream,
    wire: &mut Wire,
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(2)))?;
    let mut last = Instant::now();
    let mut bytes = vec![0; 64 << 10];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                board.write(&bytes[..count]);
                wire.see(board.wire_bytes());
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset => return Ok(()),
                _ => return Err(error),
            },
        }
        let passed = last.elapsed().as_millis();
        last += Duration::from_millis(passed as u64);
        board.tick(passed as u32);
        let reply = board.read();
        if !reply.is_empty() && stream.write_all(&reply).is_err() {
            return Ok(());
        }
    }
}

/// PyPI's esptool: `ESPTOOL` names it, else it is looked for on the PATH.
pub(crate) fn esptool() -> Option<PathBuf> {
    let tool = std::env::var_os("ESPTOOL").unwrap_or("esptool".into());
    let answers = Command::new(&tool).arg("version").output();
    match answers.is_ok_and(|output| output.status.success()) {
        true => Some(tool.into()),
        false => {
            println!(
                "skipped: no esptool (pip install esptool; ESPTOOL names one that is not on the PATH)"
            );
            None
        }
    }
}

/// One run of esptool on a board with this flash.
pub(crate) fn run(
    tool: &PathBuf,
    stub: bool,
    flash: Vec<u8>,
    arguments: &[&str],
) -> (Output, Vec<u8>, Wire) {
    serve(flash, |port| {
        let mut command = Command::new(tool);
        command.args([
            "--chip", "esp32s3", "--before", "no-reset", "--after", "no-reset",
        ]);
        command.args(["--port", &format!("socket://127.0.0.1:{port}")]);
        if !stub {
            command.arg("--no-stub");
        }
        command.args(arguments).output().unwrap()
    })
}

/// Its text, for messages; panics when it failed.
pub(crate) fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    text
}
