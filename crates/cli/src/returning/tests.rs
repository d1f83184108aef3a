//! `fixpoint flash` over ports that leave the bus with a restart, and one that does not: scripted, with the
//! virtual board behind them.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use fixpoint_board::{BootMode, Options, Personality, VirtualBoard};

use crate::failure::Failure;
use crate::flash;
use crate::port::Port;
use crate::serial::{Bus, Line, Listed, Usb};

#[path = "../../../device/tests/model/mod.rs"]
#[allow(dead_code, reason = "only its bytes are flashed here")]
mod adder;

const SILABS: u16 = 0x10C4;
const CP210X: u16 = 0xEA60;
const ESPRESSIF: u16 = 0x303A;
const JTAG: u16 = 0x1001;
const OTG: u16 = 0x0009;

/// What the bus does when the board restarts.
#[derive(Clone, Copy)]
struct Script {
    /// Name under which the port comes back; none: never.
    back: Option<&'static str>,
    /// Looks at the list before it is there, and then attempts before it can be opened.
    looks: usize,
    refusals: usize,
    /// Bytes after which the cable, and with it the power, is taken away for once.
    pulled_after: Option<u64>,
}

struct World {
    board: VirtualBoard,
    ticked: Instant,
    script: Script,
    personality: Personality,
    /// The board's port, while it is on the bus.
    name: Option<&'static str>,
    looks: usize,
    refusals: usize,
    /// Lines of an earlier life of the port are dead.
    life: u32,
    signals: (bool, bool),
    baud: u64,
    opened: Vec<String>,
    left: u32,
}

type Shared = Rc<RefCell<World>>;

fn world(options: Options, script: Script) -> Shared {
    let personality = options.personality;
    let mut board = VirtualBoard::new(None, options);
    board.replug();
    Rc::new(RefCell::new(World {
        board,
        ticked: Instant::now(),
        script,
        personality,
        name: Some("ACM1"),
        looks: 0,
        refusals: 0,
        life: 0,
        signals: (false, false),
        baud: 115_200,
        opened: Vec::new(),
        left: 0,
    }))
}

impl World {
    /// The board's time goes with the host's.
    fn tick(&mut self) {
        let ms = self.ticked.elapsed().as_millis() as u32;
        self.ticked += Duration::from_millis(u64::from(ms));
        self.board.tick(ms);
        if self.name.is_some() && !self.board.connected() {
            self.leave();
        }
    }

    /// The device is gone from the bus, and so is every line that is open.
    fn leave(&mut self) {
        if self.personality == Personality::UsbOtg {
            // Started, the chip is on USB-Serial-JTAG, whatever its loader was on.
            self.personality = Personality::UsbSerialJtag;
            self.power_cycle();
        }
        self.name = None;
        self.life += 1;
        self.left += 1;
        self.looks = self.script.looks;
        self.refusals = self.script.refusals;
        self.signals = (false, false);
    }

    fn power_cycle(&mut self) {
        self.board = VirtualBoard::new(Some(self.board.flash().to_vec()), jtag());
    }

    fn look(&mut self) {
        if self.name.is_some() {
            return;
        }
        match self.looks {
            0 => {
                self.name = self.script.back;
                self.board.replug();
                // A new device, whose lines nobody has set.
                self.board.set_signals(false, false);
            }
            _ => self.looks -= 1,
        }
    }
}

struct ScriptedBus(Shared);

fn listed(name: &str, vendor: u16, product: u16) -> Listed {
    Listed {
        name: name.to_owned(),
        usb: Some(Usb {
            vendor,
            product,
            serial: None,
        }),
    }
}

impl Bus for ScriptedBus {
    fn ports(&self) -> Vec<Listed> {
        let mut world = self.0.borrow_mut();
        world.look();
        let (vendor, product) = match world.personality {
            Personality::UartBridge => (SILABS, CP210X),
            Personality::UsbSerialJtag => (ESPRESSIF, JTAG),
            Personality::UsbOtg => (ESPRESSIF, OTG),
        };
        // Another board of the same kind is plugged in all the time.
        let other = listed("ACM0", ESPRESSIF, JTAG);
        let own = world.name.map(|name| listed(name, vendor, product));
        [other].into_iter().chain(own).collect()
    }

    fn open(&self, name: &str, _: u32) -> serialport::Result<Box<dyn Line>> {
        let mut world = self.0.borrow_mut();
        assert_eq!(Some(name), world.name, "not the board's port");
        if world.refusals > 0 {
            world.refusals -= 1;
            let kind = serialport::ErrorKind::NoDevice;
            return Err(serialport::Error::new(kind, "busy"));
        }
        world.opened.push(name.to_owned());
        Ok(Box::new(ScriptedLine {
            world: self.0.clone(),
            life: world.life,
            full: false,
            limit: Duration::ZERO,
        }))
    }

    fn wait(&self, _: Duration) {}
}

const BUFFER: usize = 4_096;

struct ScriptedLine {
    world: Shared,
    /// The last write filled the buffer.
    full: bool,
    life: u32,
    limit: Duration,
}

impl ScriptedLine {
    fn alive(&self) -> io::Result<std::cell::RefMut<'_, World>> {
        let mut world = self.world.borrow_mut();
        world.tick();
        match world.life == self.life {
            true => Ok(world),
            false => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Read for ScriptedLine {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            let come = self.alive()?.board.read();
            if !come.is_empty() {
                assert!(come.len() <= bytes.len());
                bytes[..come.len()].copy_from_slice(&come);
                return Ok(come.len());
            }
            if begun.elapsed() >= self.limit {
                return Err(ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Write for ScriptedLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // As a terminal's: so much at a time, and more when nearly all of it has left.
        let bytes = &bytes[..bytes.len().min(BUFFER)];
        let drains = Duration::from_millis(BUFFER as u64 * 10_000 / self.alive()?.baud);
        if std::mem::replace(&mut self.full, bytes.len() == BUFFER) && self.limit < drains {
            return Err(ErrorKind::TimedOut.into());
        }
        let mut world = self.alive()?;
        world.board.write(bytes);
        let sent = world.board.wire_bytes().0;
        if world.script.pulled_after.is_some_and(|limit| sent > limit) {
            world.script.pulled_after = None;
            world.power_cycle();
            world.leave();
            return Err(ErrorKind::BrokenPipe.into());
        }
        drop(world);
        self.alive().map(|_| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.full = false;
        Ok(())
    }
}

impl Line for ScriptedLine {
    fn set_baud(&mut self, rate: u32) -> serialport::Result<()> {
        let mut world = self.alive()?;
        world.baud = rate.into();
        world.board.set_baud(rate);
        Ok(())
    }

    fn set_signals(&mut self, dtr: bool, rts: bool) -> serialport::Result<()> {
        let mut world = self.alive()?;
        let resets = (dtr, rts) == (false, true) && world.signals != (false, true);
        world.signals = (dtr, rts);
        world.board.set_signals(dtr, rts);
        if resets && world.personality == Personality::UsbSerialJtag {
            world.leave();
        }
        Ok(())
    }

    fn set_limit(&mut self, limit: Duration) -> io::Result<()> {
        self.limit = limit;
        Ok(())
    }
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: flash::Args,
}

/// `fixpoint flash --port ACM1 --model ...` on this bus.
fn flash(world: &Shared, test: &str) -> Result<(), Failure> {
    flash_model(world, test, &adder::image())
}

fn run(world: &Shared, line: &[&str]) -> Result<(), Failure> {
    let args = Command::parse_from(line).args;
    flash::run_over(&args, || {
        Port::on(Box::new(ScriptedBus(world.clone())), "ACM1")
    })
}

fn flash_model(world: &Shared, test: &str, image: &[u8]) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("fixpoint-returning-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let model: PathBuf = folder.join(format!("{test}.fxp"));
    std::fs::write(&model, image).unwrap();
    let model = model.to_str().unwrap();
    let line = ["flash", "--port", "ACM1", "--loader", "--model", model];
    let outcome = run(world, &line);
    let _ = std::fs::remove_file(model);
    // Empty by now, or another test's as well.
    let _ = std::fs::remove_dir(folder);
    outcome
}

fn jtag() -> Options {
    Options {
        personality: Personality::UsbSerialJtag,
        ..Options::default()
    }
}

#[test]
fn the_same_port_comes_back() {
    let script = Script {
        back: Some("ACM1"),
        looks: 3,
        refusals: 2,
        pulled_after: None,
    };
    let world = world(jtag(), script);
    flash(&world, "same").unwrap();
    let world = world.borrow();
    assert!(world.board.runs_application());
    assert_eq!(world.left, 2, "into the loader and out of it");
    assert_eq!(world.opened, ["ACM1"; 3]);
}

#[test]
fn it_comes_back_under_another_name() {
    let script = Script {
        back: Some("ACM7"),
        looks: 5,
        refusals: 0,
        pulled_after: None,
    };
    let world = world(jtag(), script);
    flash(&world, "another").unwrap();
    let world = world.borrow();
    assert!(world.board.runs_application());
    assert_eq!(world.opened, ["ACM1", "ACM7", "ACM7"]);
}

#[test]
fn usb_otg_comes_back_as_another_product() {
    let options = Options {
        personality: Personality::UsbOtg,
        boot_mode: BootMode::HeldInLoader,
        ..Options::default()
    };
    let script = Script {
        back: Some("ACM2"),
        looks: 1,
        refusals: 1,
        pulled_after: None,
    };
    let world = world(options, script);
    flash(&world, "otg").unwrap();
    let world = world.borrow();
    assert!(world.board.runs_application());
    assert_eq!(world.opened, ["ACM1", "ACM2"]);
}

#[test]
fn it_never_comes_back_and_nothing_was_written() {
    let script = Script {
        back: None,
        looks: 0,
        refusals: 0,
        pulled_after: None,
    };
    let world = world(jtag(), script);
    let said = flash(&world, "never").unwrap_err().to_string();
    assert!(said.contains("its port has not come back"), "{said}");
    assert!(said.contains("help: "), "{said}");
    let world = world.borrow();
    assert!(world.board.flash().iter().all(|&byte| byte == 0xFF));
    assert_eq!(world.opened, ["ACM1"]);
}

/// A cable that is pulled and put back is no restart: the session begins anew, in the application.
#[test]
fn the_cable_is_pulled_and_put_back() {
    let script = Script {
        back: Some("ACM1"),
        looks: 10,
        refusals: 0,
        pulled_after: Some(30_000),
    };
    let world = world(jtag(), script);
    flash(&world, "cable").unwrap();
    let world = world.borrow();
    assert!(world.board.runs_application());
    assert_eq!(world.left, 4, "into the loader, pulled, and the same again");
}

/// A megabyte for tensors: what the eFuses tell is looked at before anything is written.
#[test]
fn a_chip_without_psram_is_not_given_a_model_that_needs_it() {
    let script = Script {
        back: Some("ACM1"),
        looks: 0,
        refusals: 0,
        pulled_after: None,
    };
    let without = Options {
        psram_bytes: 0,
        ..jtag()
    };
    let world = world(without, script);
    let image = adder::with_arena(1 << 20);
    let said = flash_model(&world, "psram", &image)
        .unwrap_err()
        .to_string();
    assert!(said.contains("needs 1024 KiB of memory"), "{said}");
    assert!(said.contains("this one has no PSRAM"), "{said}");
    assert!(said.contains("Nothing was changed"), "{said}");
    let flash = world.borrow().board.flash().to_vec();
    assert!(flash.iter().all(|&byte| byte == 0xFF));
}

/// A bridge stays where it is, and takes a few KB at a time.
#[test]
fn a_bridge_is_flashed_through_a_small_buffer() {
    let script = Script {
        back: None,
        looks: 0,
        refusals: 0,
        pulled_after: None,
    };
    let world = world(Options::default(), script);
    flash(&world, "bridge").unwrap();
    let world = world.borrow();
    assert!(world.board.runs_application());
    assert_eq!(
        (world.left, &world.opened[..]),
        (0, &["ACM1".to_owned()][..])
    );
}

/// A manifest of esp-web-tools: its files go where it says.
#[test]
fn another_projects_manifest_is_flashed() {
    let script = Script {
        back: Some("ACM1"),
        looks: 1,
        refusals: 0,
        pulled_after: None,
    };
    let world = world(jtag(), script);
    let folder = std::env::temp_dir().join(format!("fixpoint-project-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let prebuilt = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let places = [
        ("bootloader", 0),
        ("partition-table", 0x8000),
        ("runtime", 0x1_0000),
    ];
    let mut parts = Vec::new();
    for (name, offset) in places {
        let name = format!("{name}.bin");
        std::fs::copy(prebuilt.join(&name), folder.join(&name)).unwrap();
        parts.push(format!(r#"{{"path": "{name}", "offset": {offset}}}"#));
    }
    let manifest = folder.join("manifest.json");
    let json = format!(
        r#"{{"name": "other", "builds": [{{"chipFamily": "ESP32-S3", "parts": [{}]}}]}}"#,
        parts.join(", ")
    );
    std::fs::write(&manifest, json).unwrap();
    let line = [
        "flash",
        "--port",
        "ACM1",
        "--manifest",
        manifest.to_str().unwrap(),
    ];
    run(&world, &line).unwrap();
    let world = world.borrow();
    for (name, offset) in places {
        let bytes = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
        assert!(world.board.flash()[offset..].starts_with(&bytes), "{name}");
    }
    assert!(world.board.runs_application());
    std::fs::remove_dir_all(folder).unwrap();
}
