//! The byte stream to a board: a serial port or a TCP connection, and the two state machines driven over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use fixpoint_flash::{Flasher, Link, Outcome, PortTrouble};
use fixpoint_protocol::host::{self, LinkClient, LinkError};

use crate::failure::Failure;
use crate::serial::{Bus, Device, Line, System};

/// Rate of the ROM loader and of the runtime's console.
pub(crate) const CONSOLE_BAUD: u32 = 115_200;

/// Longest wait for bytes at a time, so that progress is shown while nothing comes.
const SLICE: Duration = Duration::from_millis(50);

/// Longest wait until a port takes more: its buffer of a few KB has to run empty at the rate of the line.
const STALL: Duration = Duration::from_secs(4);

/// How often a port that went away with a restart is looked for and tried, 8 seconds in all: a new one
/// may not open at once.
const LOOKS: usize = 54;
const LOOK: Duration = Duration::from_millis(150);

pub(crate) struct Port {
    address: String,
    stream: Stream,
    start: Instant,
    /// The port went away: unplugged, or restarted (see [`Port::returned`]).
    lost: bool,
}

enum Stream {
    Serial {
        /// None between two.
        line: Option<Box<dyn Line>>,
        device: Device,
        bus: Box<dyn Bus>,
    },
    Tcp(TcpStream),
}

impl Port {
    /// Opens `/dev/ttyX`, `COM3` or `tcp://HOST:PORT`.
    pub(crate) fn open(address: &str) -> Result<Self, Failure> {
        match address.strip_prefix("tcp://") {
            Some(host) => Ok(Self::new(address, Stream::Tcp(connect(host)?))),
            None => Self::on(Box::new(System), address),
        }
    }

    /// Opens a serial port of `bus`.
    pub(crate) fn on(bus: Box<dyn Bus>, name: &str) -> Result<Self, Failure> {
        let device = Device::new(name, bus.ports());
        let line = bus.open(name, CONSOLE_BAUD);
        let line = Some(line.map_err(|error| explain(&*bus, name, &error))?);
        Ok(Self::new(name, Stream::Serial { line, device, bus }))
    }

    fn new(address: &str, stream: Stream) -> Self {
        Port {
            address: address.to_owned(),
            stream,
            start: Instant::now(),
            lost: false,
        }
    }

    /// What sits between this port and the chip.
    pub(crate) fn link(&self) -> Link {
        match &self.stream {
            Stream::Serial { device, .. } => device.link(),
            Stream::Tcp(_) => Link::Plain,
        }
    }

    /// The port is gone, and may come back by itself: the device on the bus is the chip's own, which a
    /// reset takes away.
    pub(crate) fn is_away(&self) -> bool {
        self.lost && matches!(self.link(), Link::UsbSerialJtag | Link::UsbOtg)
    }

    /// Waits until a port that is away is back, perhaps by another name and as another product, and opens
    /// it. False when it did not come back in time.
    pub(crate) fn returned(&mut self) -> bool {
        let Stream::Serial { line, device, bus } = &mut self.stream else {
            return false;
        };
        // As long as it is open its name is taken.
        *line = None;
        for _ in 0..LOOKS {
            if let Some(next) = device.successor(&bus.ports())
                && let Ok(opened) = bus.open(next.name(), CONSOLE_BAUD)
            {
                self.address = next.name().to_owned();
                *line = Some(opened);
                *device = next;
                self.lost = false;
                return true;
            }
            bus.wait(LOOK);
        }
        false
    }

    /// Closes and opens a TCP connection, which is a power cycle for `fixpoint emulate` and nothing
    /// for a bridge to a real board. A serial port stays as it is.
    pub(crate) fn reconnect(&mut self) -> Result<(), Failure> {
        if let Stream::Tcp(old) = &self.stream {
            // The other end may be gone already.
            let _ = old.shutdown(std::net::Shutdown::Both);
            let host = self.address.trim_start_matches("tcp://");
            self.stream = Stream::Tcp(connect(host)?);
        }
        Ok(())
    }

    pub(crate) fn set_baud(&mut self, rate: u32) -> Result<(), Failure> {
        match &mut self.stream {
            Stream::Serial { line, .. } => line
                .as_mut()
                .map_or(Ok(()), |l| l.set_baud(rate))
                .map_err(|e| {
                    Failure::new(format!("{} does not do {rate} baud: {e}", self.address))
                        .help("try another --baud; 115200 always works")
                }),
            Stream::Tcp(_) => Ok(()),
        }
    }

    fn set_signals(&mut self, dtr: bool, rts: bool) -> Result<(), Failure> {
        let own_usb = matches!(self.link(), Link::UsbSerialJtag | Link::UsbOtg);
        let Stream::Serial {
            line: Some(line), ..
        } = &mut self.stream
        else {
            return Ok(());
        };
        match line.set_signals(dtr, rts) {
            // A chip that resets takes its port along; the next read tells.
            Err(_) if own_usb => Ok(()),
            outcome => outcome.map_err(|e| {
                Failure::new(format!("{} does not let its control lines be set: {e}", self.address))
                    .help("put the board in download mode by hand (hold BOOT, tap RESET) and use --no-reset")
            }),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let outcome = match &mut self.stream {
            Stream::Serial {
                line: Some(line), ..
            } => line
                .set_limit(STALL)
                .and_then(|()| line.write_all(bytes))
                .and_then(|()| line.flush()),
            Stream::Serial { line: None, .. } => Err(ErrorKind::NotConnected.into()),
            Stream::Tcp(stream) => stream.write_all(bytes),
        };
        self.lost |= outcome.is_err();
        outcome
    }

    /// Waits up to `limit` for bytes; empty when none came.
    fn read(&mut self, limit: Duration) -> io::Result<Vec<u8>> {
        let limit = limit.clamp(Duration::from_millis(1), SLICE);
        let mut bytes = vec![0; 16 << 10];
        let outcome = match &mut self.stream {
            Stream::Serial {
                line: Some(line), ..
            } => {
                line.set_limit(limit)
                    .and_then(|()| match line.read(&mut bytes) {
                        // What an unplugged terminal reads on some systems; silence is a time-out.
                        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                        other => other,
                    })
            }
            Stream::Serial { line: None, .. } => Err(ErrorKind::NotConnected.into()),
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(limit))?;
                match stream.read(&mut bytes) {
                    Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof)),
                    other => other,
                }
            }
        };
        match outcome {
            Ok(count) => {
                bytes.truncate(count);
                Ok(bytes)
            }
            Err(error) => match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted => {
                    Ok(Vec::new())
                }
                _ => {
                    self.lost = true;
                    Err(error)
                }
            },
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn read_until(&mut self, until_ms: u64) -> io::Result<Vec<u8>> {
        let left = until_ms.saturating_sub(self.now());
        self.read(Duration::from_millis(left))
    }

    /// Runs a flashing session to its end. `show` is called after every step.
    pub(crate) fn flash(
        &mut self,
        flasher: &mut Flasher,
        mut show: impl FnMut(&mut Flasher),
    ) -> Result<Outcome, Failure> {
        use fixpoint_flash::Action;
        loop {
            match flasher.poll(self.now()) {
                Action::Write(bytes) => {
                    if self.write(&bytes).is_err() {
                        flasher.on_closed();
                    }
                }
                Action::SetSignals { dtr, rts } => self.set_signals(dtr, rts)?,
                Action::SetBaud(rate) => self.set_baud(rate)?,
                Action::Wait { until_ms } => match self.read_until(until_ms) {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => flasher.on_bytes(&bytes),
                    Err(_) => flasher.on_closed(),
                },
                Action::Done(outcome) => {
                    show(flasher);
                    return Ok(outcome);
                }
            }
            show(flasher);
        }
    }

    /// Runs a client's job to its end. `show` gets every event.
    pub(crate) fn converse(
        &mut self,
        client: &mut LinkClient,
        mut show: impl FnMut(host::Event),
    ) -> Result<Result<(), LinkError>, Failure> {
        use fixpoint_protocol::host::Action;
        let address = self.address.clone();
        let lost = |e: io::Error| {
            Failure::new(format!("{address} was closed: {e}"))
                .help("plug the board in again and repeat the command")
        };
        loop {
            match client.poll(self.now()) {
                Action::Write(bytes) => self.write(&bytes).map_err(lost)?,
                Action::WaitUntil(until_ms) => {
                    let bytes = self.read_until(until_ms).map_err(lost)?;
                    client.on_bytes(&bytes);
                }
                Action::Event(event) => show(event),
                Action::Done => return Ok(Ok(())),
                Action::Failed(error) => return Ok(Err(error)),
            }
        }
    }
}

fn connect(host: &str) -> Result<TcpStream, Failure> {
    let unusable = |e: io::Error| {
        Failure::new(format!("tcp://{host} can't be reached: {e}"))
            .help("start the serial bridge or 'fixpoint emulate' first, and write tcp://HOST:PORT")
    };
    let addresses: Vec<_> = host.to_socket_addrs().map_err(unusable)?.collect();
    let stream = TcpStream::connect(&addresses[..]).map_err(unusable)?;
    stream.set_nodelay(true).map_err(unusable)?;
    Ok(stream)
}

fn explain(bus: &dyn Bus, address: &str, error: &serialport::Error) -> Failure {
    let remedy = match error.kind {
        serialport::ErrorKind::Io(ErrorKind::PermissionDenied) => {
            PortTrouble::NoPermission.remedy().to_owned()
        }
        serialport::ErrorKind::Io(ErrorKind::NotFound) => {
            let names: Vec<String> = bus.ports().into_iter().map(|port| port.name).collect();
            match names.is_empty() {
                false => format!("ports that are there: {}", names.join(", ")),
                true => PortTrouble::NotFound.remedy().to_owned(),
            }
        }
        // Linux tells a port in use as no device.
        _ => PortTrouble::Busy.remedy().to_owned(),
    };
    Failure::new(format!("{address} can't be opened: {error}")).help(remedy)
}

/// Where a TCP server is to listen: `tcp://HOST:PORT`, port 0 for any free one.
pub(crate) fn listen_address(address: &str) -> Result<&str, Failure> {
    match address.strip_prefix("tcp://") {
        Some(host) if host.contains(':') => Ok(host),
        _ => Err(
            Failure::usage(format!("{address} is no address to listen at"))
                .help("write tcp://127.0.0.1:PORT"),
        ),
    }
}
