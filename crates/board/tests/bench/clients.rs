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

/// PyPI's esptool.
pub(crate) struct Esptool {
    program: PathBuf,
    /// Up to release 4 its words are joined by underscores, since then by hyphens; and it has a stub of its
    /// own, which is smaller than the one that followed.
    pub(crate) before_5: bool,
}

impl Esptool {
    fn word(&self, word: &str) -> String {
        let name = word.trim_start_matches("--");
        let dashes = &word[..word.len() - name.len()];
        match self.before_5 {
            true => format!("{dashes}{}", name.replace('-', "_")),
            false => word.to_owned(),
        }
    }
}

/// `ESPTOOL` names it, else it is looked for on the PATH.
pub(crate) fn esptool() -> Option<Esptool> {
    let program = std::env::var_os("ESPTOOL").unwrap_or("esptool".into());
    let answer = Command::new(&program).arg("version").output();
    match answer {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout).into_owned();
            let number = version.split_whitespace().last().unwrap_or_default();
            println!("esptool {number}");
            Some(Esptool {
                program: program.into(),
                before_5: number.starts_with(['3', '4']),
            })
        }
        _ => {
            println!(
                "skipped: no esptool (pip install esptool; ESPTOOL names one that is not on the PATH)"
            );
            None
        }
    }
}

/// One run of esptool on a board with this flash. `arguments`: its command first.
pub(crate) fn run(
    tool: &Esptool,
    stub: bool,
    flash: Vec<u8>,
    arguments: &[&str],
) -> (Output, Vec<u8>, Wire) {
    serve(flash, |port| {
        let mut command = Command::new(&tool.program);
        let no_reset = tool.word("no-reset");
        command.args(["--chip", "esp32s3"]);
        command.args(["--before", &no_reset, "--after", &no_reset]);
        command.args(["--port", &format!("socket://127.0.0.1:{port}")]);
        if !stub {
            command.arg("--no-stub");
        }
        for (n, &argument) in arguments.iter().enumerate() {
            // Everything but the command and its options is a file or a number.
            match n == 0 || argument.starts_with("--") {
                true => command.arg(tool.word(argument)),
                false => command.arg(argument),
            };
        }
        command.output().unwrap()
    })
}

/// Its text, for messages; panics when it failed.
pub(crate) fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    text
}
