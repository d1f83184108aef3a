//! Serial ports of this machine, and which of them is a board that went away with a restart.

use std::io::{self, Read, Write};
use std::time::Duration;

use fixpoint_flash::Link;
use serialport::{SerialPort, SerialPortType};

/// One open port.
pub(crate) trait Line: Read + Write {
    fn set_baud(&mut self, rate: u32) -> serialport::Result<()>;
    /// DTR, then RTS; `true` asserts.
    fn set_signals(&mut self, dtr: bool, rts: bool) -> serialport::Result<()>;
    /// Longest wait of a read, and of a write for room.
    fn set_limit(&mut self, limit: Duration) -> io::Result<()>;
}

/// What ports there are, and how one is opened; tests have one of their own.
pub(crate) trait Bus {
    fn ports(&self) -> Vec<Listed>;
    fn open(&self, name: &str, baud: u32) -> serialport::Result<Box<dyn Line>>;
    /// Between two looks at the ports.
    fn wait(&self, time: Duration);
}

/// A port and the USB device behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) usb: Option<Usb>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usb {
    pub(crate) vendor: u16,
    pub(crate) product: u16,
    pub(crate) serial: Option<String>,
}

/// The port that a board was opened on.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    port: Listed,
    /// Names of the ports beside it: other boards.
    others: Vec<String>,
}

impl Device {
    pub(crate) fn new(name: &str, ports: Vec<Listed>) -> Self {
        let (own, others): (Vec<_>, Vec<_>) = ports.into_iter().partition(|port| port.name == name);
        let unknown = Listed {
            name: name.to_owned(),
            usb: None,
        };
        Self {
            port: own.into_iter().next().unwrap_or(unknown),
            others: others.into_iter().map(|port| port.name).collect(),
        }
    }

    pub(crate) fn link(&self) -> Link {
        match &self.port.usb {
            Some(usb) => Link::of_usb(usb.vendor, usb.product),
            None => Link::UartBridge,
        }
    }

    /// What this device is by now: the same again, or another one of its maker that was not there before.
    pub(crate) fn successor(&self, ports: &[Listed]) -> Option<Self> {
        let before = self.port.usb.as_ref()?;
        let closeness = |port: &Listed| {
            let usb = port.usb.as_ref()?;
            let mine = usb.vendor == before.vendor && !self.others.contains(&port.name);
            mine.then_some((
                usb.serial.is_some() && usb.serial == before.serial,
                port.name == self.port.name,
                usb.product == before.product,
            ))
        };
        let candidates = ports.iter().filter(|port| closeness(port).is_some());
        let port = candidates.max_by_key(|port| closeness(port))?.clone();
        let others = self.others.clone();
        Some(Self { port, others })
    }

    pub(crate) fn name(&self) -> &str {
        &self.port.name
    }
}

/// The operating system's.
pub(crate) struct System;

impl Bus for System {
    fn ports(&self) -> Vec<Listed> {
        let ports = serialport::available_ports().unwrap_or_default();
        let listed = |port: serialport::SerialPortInfo| Listed {
            name: port.port_name,
            usb: match port.port_type {
                SerialPortType::UsbPort(usb) => Some(Usb {
                    vendor: usb.vid,
                    product: usb.pid,
                    serial: usb.serial_number,
                }),
                _ => None,
            },
        };
        ports.into_iter().map(listed).collect()
    }

    fn open(&self, name: &str, baud: u32) -> serialport::Result<Box<dyn Line>> {
        let port = serialport::new(name, baud).open()?;
        Ok(Box::new(Opened(port)))
    }

    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

struct Opened(Box<dyn SerialPort>);

impl Read for Opened {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Opened {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Line for Opened {
    fn set_baud(&mut self, rate: u32) -> serialport::Result<()> {
        self.0.set_baud_rate(rate)
    }

    fn set_signals(&mut self, dtr: bool, rts: bool) -> serialport::Result<()> {
        self.0.write_data_terminal_ready(dtr)?;
        self.0.write_request_to_send(rts)
    }

    fn set_limit(&mut self, limit: Duration) -> io::Result<()> {
        self.0.set_timeout(limit).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, vendor: u16, product: u16, serial: &str) -> Listed {
        let serial = (!serial.is_empty()).then(|| serial.to_owned());
        let usb = Some(Usb {
            vendor,
            product,
            serial,
        });
        Listed {
            name: name.to_owned(),
            usb,
        }
    }

    #[test]
    fn a_board_is_known_by_serial_number_then_path_then_product() {
        let other = port("ACM0", 0x303A, 0x1001, "other");
        let own = port("ACM1", 0x303A, 0x1001, "own");
        let device = Device::new("ACM1", vec![other.clone(), own]);
        let found = |ports: &[Listed]| device.successor(ports).map(|next| next.name().to_owned());
        assert_eq!(found(&[]), None);
        assert_eq!(found(std::slice::from_ref(&other)), None, "another board");
        let bridge = port("USB0", 0x10C4, 0xEA60, "own");
        assert_eq!(found(&[other.clone(), bridge]), None, "another maker");
        let numbered = port("ACM3", 0x303A, 0x0009, "own");
        let same_path = port("ACM1", 0x303A, 0x4001, "");
        let same_product = port("ACM2", 0x303A, 0x1001, "");
        let ports = [same_product, numbered, same_path, other];
        assert_eq!(found(&ports).as_deref(), Some("ACM3"));
        let ports = [ports[0].clone(), ports[2].clone()];
        assert_eq!(found(&ports).as_deref(), Some("ACM1"));
        assert_eq!(found(&ports[..1]).as_deref(), Some("ACM2"));
    }

    #[test]
    fn a_port_without_usb_has_no_successor() {
        let device = Device::new("ttyS0", Vec::new());
        assert_eq!(device.link(), Link::UartBridge);
        let ports = [port("ACM1", 0x303A, 0x1001, "")];
        assert!(device.successor(&ports).is_none());
    }
}
