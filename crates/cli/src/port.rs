//! The byte stream to a board: a serial port or a TCP connection, and the two state machines driven over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use fixpoint_flash::{Flasher, Link, Outcome, PortTrouble};
use fixpoint_protocol::host::{self, LinkClient, LinkError};
use serialport::{SerialPort, SerialPortType};

use crate::failure::Failure;

/// Rate of the ROM loader and of the runtime's console.
pub(crate) const CONSOLE_BAUD: u32 = 115_200;

/// Longest wait for bytes at a time, so that progress is shown while nothing comes.
const SLICE: Duration = Duration::from_millis(50);

pub(crate) struct Port {
    address: String,
    stream: Stream,
    start: Instant,
}

enum Stream {
    Serial {
        port: Box<dyn SerialPort>,
        link: Link,
    },
    Tcp(TcpStream),
}

impl Port {
    /// Opens `/dev/ttyX`, `COM3` or `tcp://HOST:PORT`.
    pub(crate) fn open(address: &str) -> Result<Self, Failure> {
        let stream = match address.strip_prefix("tcp://") {
            Some(host) => Stream::Tcp(connect(host)?),
            None => Stream::serial(address)?,
        };
        Ok(Port {
            address: address.to_owned(),
            stream,
            start: Instant::now(),
        })
    }

    /// What sits between this port and the chip.
    pub(crate) fn link(&self) -> Link {
        match &self.stream {
            Stream::Serial { link, .. } => *link,
            Stream::Tcp(_) => Link::Plain,
        }
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
            Stream::Serial { port, .. } => port.set_baud_rate(rate).map_err(|e| {
                Failure::new(format!("{} does not do {rate} baud: {e}", self.address))
                    .help("try another --baud; 115200 always works")
            }),
            Stream::Tcp(_) => Ok(()),
        }
    }

    fn set_signals(&mut self, dtr: bool, rts: bool) -> Result<(), Failure> {
        if let Stream::Serial { port, .. } = &mut self.stream {
            port.write_data_terminal_ready(dtr)
                .and_then(|()| port.write_request_to_send(rts))
                .map_err(|e| {
                    Failure::new(format!("{} does not let its control lines be set: {e}", self.address))
                        .help("put the board in download mode by hand (hold BOOT, tap RESET) and use --no-reset")
                })?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Serial { port, .. } => port.write_all(bytes).and_then(|()| port.flush()),
            Stream::Tcp(stream) => stream.write_all(bytes),
        }
    }

    /// Waits up to `limit` for bytes; empty when none came.
    fn read(&mut self, limit: Duration) -> io::Result<Vec<u8>> {
        let limit = limit.clamp(Duration::from_millis(1), SLICE);
        let mut bytes = vec![0; 16 << 10];
        let outcome = match &mut self.stream {
            Stream::Serial { port, .. } => {
                port.set_timeout(limit).map_err(io::Error::from)?;
                port.read(&mut bytes)
            }
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
                _ => Err(error),
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

impl Stream {
    fn serial(address: &str) -> Result<Self, Failure> {
        let port = serialport::new(address, CONSOLE_BAUD)
            .timeout(SLICE)
            .open()
            .map_err(|error| explain(address, &error))?;
        let link = match usb_ids(address) {
            Some((vendor, product)) => Link::of_usb(vendor, product),
            None => Link::UartBridge,
        };
        Ok(Stream::Serial { port, link })
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

fn usb_ids(address: &str) -> Option<(u16, u16)> {
    let ports = serialport::available_ports().ok()?;
    let port = ports.into_iter().find(|port| port.port_name == address)?;
    match port.port_type {
        SerialPortType::UsbPort(usb) => Some((usb.vid, usb.pid)),
        _ => None,
    }
}

fn explain(address: &str, error: &serialport::Error) -> Failure {
    let remedy = match error.kind {
        serialport::ErrorKind::Io(ErrorKind::PermissionDenied) => {
            PortTrouble::NoPermission.remedy().to_owned()
        }
        serialport::ErrorKind::Io(ErrorKind::NotFound) => match serialport::available_ports() {
            Ok(ports) if !ports.is_empty() => {
                let names: Vec<String> = ports.into_iter().map(|port| port.port_name).collect();
                format!("ports that are there: {}", names.join(", "))
            }
            _ => PortTrouble::NotFound.remedy().to_owned(),
        },
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
