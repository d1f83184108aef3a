//! `fixpoint flash`: the runtime and a model onto a board, and a look whether it starts.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use fixpoint_flash::manifest::{self, Manifest};
use fixpoint_flash::{Event, Flasher, Link, Options, Prebuilt, Start, Summary, TensorMemory, plan};
use fixpoint_protocol::Constants;
use fixpoint_protocol::host::{self, Board, LinkClient};
use fixpoint_quant::Simulator;
use fixpoint_runtime::{AlignedBytes, Model};

use crate::failure::Failure;
use crate::files;
use crate::port::{CONSOLE_BAUD, Port};
use crate::returning;
use crate::terminal::{Bar, note};

/// The images of this release, as `firmware/prebuilt` has them.
const PREBUILT: Prebuilt<'static> = Prebuilt {
    bootloader: include_bytes!("../../../firmware/prebuilt/bootloader.bin"),
    table: include_bytes!("../../../firmware/prebuilt/partition-table.bin"),
    runtime: include_bytes!("../../../firmware/prebuilt/runtime.bin"),
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Serial port, or tcp://HOST:PORT for a bridge or `fixpoint emulate`.
    #[arg(long, value_name = "PORT")]
    port: String,
    /// Model image from `fixpoint quantize`. Without it the board keeps the model it has.
    #[arg(long, value_name = "DIR/model.fxp")]
    model: Option<PathBuf>,
    /// Rate for the transfer; a rate that doesn't work is left for 115200.
    #[arg(long, value_name = "N", default_value_t = 460_800)]
    baud: u32,
    /// Leave the reset lines alone: the board waits in download mode already, and is restarted by hand.
    #[arg(long)]
    no_reset: bool,
    /// Folder with bootloader.bin, partition-table.bin and runtime.bin to use instead of the built-in firmware.
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
    /// Go through the loader even where the running runtime could take the model itself.
    #[arg(long)]
    loader: bool,
    /// Flash the images of an esp-web-tools manifest.json instead, ours or another project's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "firmware"])]
    manifest: Option<PathBuf>,
}

/// How long a runtime that may not be there is waited for.
const ASK_MS: u64 = 700;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    run_over(args, || Port::open(&args.port))
}

/// The same over a port that is opened when the files have been read.
pub(crate) fn run_over(
    args: &Args,
    open: impl FnOnce() -> Result<Port, Failure>,
) -> Result<(), Failure> {
    let firmware = Firmware::load(args.firmware.as_deref())?;
    let model = args.model.as_deref().map(read_model).transpose()?;
    let mut plan = match &args.manifest {
        Some(path) => manifest_plan(path)?,
        None => plan::standard(
            &firmware.prebuilt(),
            model.as_ref().map(|model| &model.bytes[..]),
        )
        .map_err(|error| Failure::new(error.to_string()))?,
    };
    plan.memory = (model.as_ref()).and_then(|model| {
        TensorMemory::of(model.tensors, || {
            let flash = manifest::merged(&manifest::parts(&plan)).ok()?;
            fixpoint_board::internal_memory(flash).ok()
        })
    });

    let mut port = open()?;
    let link = port.link();
    if let (Some(model), false) = (&model, args.loader || args.no_reset)
        && over_the_link(&mut port, &firmware, model)?
    {
        return Ok(());
    }
    if link == Link::Plain {
        note("a TCP connection has no reset lines: the board must wait in download mode");
    }
    let options = Options {
        link,
        baud: match link {
            Link::UartBridge => args.baud,
            Link::UsbSerialJtag | Link::UsbOtg | Link::Plain => CONSOLE_BAUD,
        },
        reset_before: !args.no_reset,
        reset_after: !args.no_reset,
        ..Options::default()
    };
    let mut display = Display::new();
    let outcome = returning::flash(&mut port, &plan, options, |flasher| display.update(flasher))?;
    display.end();
    let summary = outcome.map_err(|error| {
        let log = error.boot_log().unwrap_or_default();
        Failure::new(format!("{error}{}", quote(log))).help(error.remedy())
    })?;
    report(&summary);
    start(&mut port, &summary, model.as_ref(), plan.foreign)
}

/// Gives the model to the runtime that runs on the board, if it is this release's and can take it.
fn over_the_link(port: &mut Port, firmware: &Firmware, model: &ModelFile) -> Result<bool, Failure> {
    let mut client = LinkClient::new(host::Options {
        connect_ms: ASK_MS,
        ..host::Options::default()
    });
    client.connect();
    let _ = port.converse(&mut client, |_| {})?;
    let Some(board) = client.board() else {
        return Ok(false);
    };
    let current = board.runtime_id != 0 && board.runtime_id == firmware.runtime_id();
    let internal = board.arena_available;
    let fits = TensorMemory::of(model.tensors, || Some(internal))
        .is_none_or(|memory| memory.suffices(board.psram_available));
    if !current || board.model_room < model.bytes.len() as u32 || !fits {
        return Ok(false);
    }
    if board.model.as_ref().is_ok_and(|there| there.id == model.id) {
        note("the board runs this runtime and this model already");
        return Ok(true);
    }
    note("the runtime on the board is this one: the model goes to it directly");
    client.update_model(model.bytes.clone());
    let mut bar = Bar::new("model bytes");
    let outcome = port.converse(&mut client, |event| {
        if let host::Event::Updating { done, total } = event {
            bar.show(done as usize, total as usize);
        }
    })?;
    drop(bar);
    if let Err(error) = outcome {
        note(&format!("{error} Trying the loader."));
        return Ok(false);
    }
    let (client, outcome) = returning::greet(port, |_| {})?;
    outcome.map_err(|error| {
        Failure::new("the board took the model and does not answer after its restart")
            .help(error.to_string())
    })?;
    match client.board() {
        Some(board) => {
            note(&describe(board));
            check(board, Some(model)).map(|()| true)
        }
        None => Ok(false),
    }
}

/// The images that a manifest names, from beside it.
fn manifest_plan(path: &Path) -> Result<fixpoint_flash::FlashPlan, Failure> {
    let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
    let folder = path.parent().unwrap_or(Path::new(""));
    Manifest::read(&text)
        .and_then(|manifest| {
            manifest
                .plan(|part| std::fs::read(folder.join(part)).map_err(|error| error.to_string()))
        })
        .map_err(|error| {
            Failure::new(error.to_string()).about(path).help(
                "give the manifest.json of a project for the ESP32-S3, with its files beside it",
            )
        })
}

/// Waits for the runtime's answer after the restart.
fn start(
    port: &mut Port,
    summary: &Summary,
    model: Option<&ModelFile>,
    foreign: bool,
) -> Result<(), Failure> {
    if summary.start == Start::PortChanges && !returning::wait(port) {
        let advice = summary.start.advice().unwrap_or_default();
        note(&format!("the flash was written and verified. {advice}"));
        return Ok(());
    }
    port.set_baud(CONSOLE_BAUD)?;
    if !summary.restarted {
        port.reconnect()?;
    }
    let mut console = String::new();
    let (client, outcome) = returning::greet(port, |event| {
        if let host::Event::Console(text) = event {
            console.push_str(&text);
        }
    })?;
    match (outcome, client.board()) {
        (Ok(()), Some(board)) => {
            note(&describe(board));
            check(board, model)
        }
        (Err(_), _) if summary.restarted && foreign => {
            let said = quote(&console);
            note(&format!(
                "the flash was written and verified, and the board restarted{said}"
            ));
            Ok(())
        }
        (Err(error), _) if summary.restarted => Err(Failure::new(format!(
            "the flash was written and verified, but the runtime does not answer{}",
            quote(&console)
        ))
        .help(error.to_string())),
        _ => {
            note(
                "the flash was written and verified, but this connection can't restart the board: press RESET (or restart the emulator), then 'fixpoint run' can use it",
            );
            Ok(())
        }
    }
}

fn check(board: &Board, model: Option<&ModelFile>) -> Result<(), Failure> {
    match (&board.model, model) {
        (Ok(running), Some(file)) if running.id != file.id => Err(Failure::new(format!(
            "the board runs model {:08x} instead of {:08x}",
            running.id, file.id
        ))
        .help("flash again; if it stays, erase the flash first")),
        (Err(problem), Some(_)) => Err(Failure::new(problem.to_string())),
        (Err(problem), None) => {
            note(&problem.to_string());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Who answered, in a few lines.
pub(crate) fn describe(board: &Board) -> String {
    let place = if board.virtual_board {
        " (virtual board)"
    } else {
        ""
    };
    let cores = match board.cores {
        0 => String::new(),
        1 => ", one core only".to_owned(),
        cores => format!(", {cores} cores"),
    };
    let psram = match (board.psram_bytes >> 20, board.psram_available) {
        (0, _) => String::new(),
        (megabytes, 0) => format!(", {megabytes} MB of PSRAM that does not answer"),
        (megabytes, _) => format!(", {megabytes} MB of PSRAM"),
    };
    let mut text = format!(
        "{} at {} MHz{cores}{psram}, firmware {}{place}",
        board.chip_name(),
        board.cpu_hz / 1_000_000,
        board.firmware
    );
    if let Ok(model) = &board.model {
        let name = if model.name.is_empty() {
            "without a name"
        } else {
            &model.name
        };
        let (memory, place) = match model.arena_needed > board.arena_available {
            true => (
                board.arena_available.saturating_add(board.psram_available),
                ", PSRAM included",
            ),
            false => (board.arena_available, ""),
        };
        text += &format!(
            "\nmodel {name} ({:08x}): {} layers, {} bytes, {} of {memory} bytes of tensor memory{place}{}",
            model.id,
            model.layers,
            model.bytes,
            model.arena_needed,
            match board.constants {
                Constants::Flash => "",
                Constants::Internal => ", weights copied to internal memory",
                Constants::Psram =>
                    ", weights copied to internal memory as far as they fit, the rest to PSRAM",
            }
        );
    }
    text
}

fn quote(console: &str) -> String {
    if console.trim().is_empty() {
        String::new()
    } else {
        format!("\nThe board's text:\n{}", console.trim_end())
    }
}

fn report(summary: &Summary) {
    for segment in &summary.segments {
        let what = match segment.written {
            0 => "was there already".to_owned(),
            written if written == segment.bytes => "written and verified".to_owned(),
            written => format!("{written} bytes written, all verified"),
        };
        eprintln!(
            "{:>10} bytes at {:#08x}  {}: {what}",
            segment.bytes, segment.offset, segment.name
        );
    }
    let progress = &summary.progress;
    eprintln!(
        "{:.1} s, {} bytes out, {} bytes in, {} round trips",
        progress.elapsed_ms as f64 / 1000.0,
        progress.wire_out,
        progress.wire_in,
        progress.round_trips
    );
}

pub(crate) struct ModelFile {
    pub(crate) bytes: Vec<u8>,
    id: u32,
    /// Bytes of memory for its tensors, and those of them that may be in another than the rest.
    tensors: [u32; 2],
}

/// Checked here, where a mistake costs nothing.
pub(crate) fn read_model(path: &Path) -> Result<ModelFile, Failure> {
    let bytes = files::read(path)?;
    Simulator::check(&bytes).map_err(|error| Failure::from(error).about(path))?;
    let aligned = AlignedBytes::new(&bytes);
    let model = Model::parse(aligned.as_ref())
        .map_err(|error| Failure::new(error.to_string()).about(path))?;
    Ok(ModelFile {
        id: model.id(),
        tensors: [model.arena_bytes(), model.near_bytes()],
        bytes,
    })
}

/// The images that make a board a runtime.
pub(crate) struct Firmware {
    bootloader: Vec<u8>,
    table: Vec<u8>,
    runtime: Vec<u8>,
}

impl Firmware {
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            let read = |name: &str| files::read(&folder.join(name));
            return Ok(Firmware {
                bootloader: read("bootloader.bin")?,
                table: read("partition-table.bin")?,
                runtime: read("runtime.bin")?,
            });
        }
        Ok(Firmware {
            bootloader: PREBUILT.bootloader.to_vec(),
            table: PREBUILT.table.to_vec(),
            runtime: PREBUILT.runtime.to_vec(),
        })
    }

    /// As a board with this runtime tells it: the first four bytes of the SHA-256 that ends the image.
    fn runtime_id(&self) -> u32 {
        let digest = self.runtime.len().checked_sub(32);
        let id = digest.and_then(|at| self.runtime[at..].first_chunk::<4>());
        id.map_or(0, |id| u32::from_le_bytes(*id))
    }

    pub(crate) fn prebuilt(&self) -> Prebuilt<'_> {
        Prebuilt {
            bootloader: &self.bootloader,
            table: &self.table,
            runtime: &self.runtime,
        }
    }
}

/// Progress on standard error: one line that is rewritten on a terminal, one line per event elsewhere.
struct Display {
    terminal: bool,
    shown: String,
}

impl Display {
    fn new() -> Self {
        Display {
            terminal: std::io::stderr().is_terminal(),
            shown: String::new(),
        }
    }

    fn update(&mut self, flasher: &mut Flasher) {
        for event in flasher.take_events() {
            let line = match event {
                Event::Phase { .. } | Event::Text { .. } => continue,
                Event::Note { text } => text,
                Event::Chip(chip) => format!(
                    "{} {}, MAC {}, {} MB of flash, {}",
                    chip.chip,
                    chip.revision,
                    chip.mac,
                    chip.flash_bytes >> 20,
                    match chip.psram_bytes >> 20 {
                        0 => "no PSRAM".to_owned(),
                        megabytes => format!("{megabytes} MB of PSRAM"),
                    }
                ),
                Event::SegmentSkipped { name, .. } => format!("{name}: there already"),
                Event::SegmentStarted {
                    name,
                    bytes,
                    compressed,
                } => {
                    format!("{name}: writing {bytes} bytes ({compressed} compressed)")
                }
                Event::SegmentWritten { name, .. } => format!("{name}: written"),
            };
            self.end();
            eprintln!("{line}");
        }
        if self.terminal {
            let progress = flasher.progress();
            let percent = (progress.done_bytes * 100)
                .checked_div(progress.total_bytes)
                .unwrap_or(0);
            let line = format!("{:?} {percent} %", progress.phase);
            if line != self.shown {
                eprint!("\r{line:<24}");
                let _ = std::io::stderr().flush();
                self.shown = line;
            }
        }
    }

    fn end(&mut self) {
        if !self.shown.is_empty() {
            eprint!("\r{:24}\r", "");
            self.shown.clear();
        }
    }
}
