//! From a closed loader to an attached flash: reset, sync, identity, stub, rate, flash size.

use crate::chip::{self, SecurityInfo};
use crate::diagnosis;
use crate::error::FlashError;
use crate::flasher::{ChipInfo, Link, Options, Phase};
use crate::line::Line;
use crate::loader::{Failure, Loader, TIMEOUT_MS};
use crate::packet::{self, Speaker};
use crate::plan::TensorMemory;
use crate::reset;
use crate::session::{Trouble, link_lost, trouble};
use crate::stub;
use espflash::command::Command;
use espflash::flasher::{SpiAttachParams, SpiSetParams};

/// Rate of the ROM's loader and of the console.
pub(crate) const FIRST_BAUD: u32 = 115_200;

const ATTEMPTS: usize = 7;
const SYNCS_PER_ATTEMPT: usize = 5;
/// No new attempt starts after this long.
const BUDGET_MS: u64 = 15_000;
const STUB_BLOCK: usize = 0x1800;

/// Resets into the loader and synchronizes.
pub(crate) async fn connect(
    line: &Line,
    options: &Options,
    again: bool,
) -> Result<Loader, FlashError> {
    line.during("connecting");
    line.phase(Phase::Connecting);
    line.set_baud(FIRST_BAUD);
    let start = line.state().now_ms;
    // After a lost link only a reset brings the loader back, whatever was wished for at first.
    let reset_first = options.reset_before || again;
    let reset_first = reset_first && options.link.has_reset_lines();
    let mut heard = (String::new(), 0);
    for attempt in 0..ATTEMPTS {
        if attempt > 0 && line.state().now_ms > start + BUDGET_MS {
            break;
        }
        line.forget_log();
        let asks = options.ask_first && attempt == 0 && !again;
        if reset_first && !asks {
            line.play(reset::into_loader(options.link, attempt)).await?;
        }
        for _ in 0..SYNCS_PER_ATTEMPT {
            if let Some(speaker) = Loader::sync(line).await? {
                let line = line.clone();
                return Ok(Loader { line, speaker });
            }
            line.sleep(50).await?;
        }
        let (log, bytes) = line.log();
        if bytes > 0 || heard.1 == 0 {
            heard = (log, bytes);
        }
    }
    Err(diagnosis::no_loader(heard.0, heard.1))
}

/// What is known before the flash is attached.
#[derive(Clone)]
pub(crate) struct Identity {
    /// major * 100 + minor
    pub(crate) revision: u16,
    mac: String,
    pub(crate) psram_bytes: u32,
}

/// Refuses other chips and protected ones, then reads eFuse.
pub(crate) async fn identify(loader: &Loader, link: Link) -> Result<Identity, Trouble> {
    let line = &loader.line;
    line.during("identifying the chip");
    if let Some(objection) = objection(loader).await? {
        // A refusal must not come from one bad byte.
        if objection_again(loader, &objection).await? {
            return Err(Trouble::Fatal(objection));
        }
    }
    let or_trouble = |failure| trouble(line, failure);
    if link == Link::UsbSerialJtag {
        let writes = &chip::QUIET_WATCHDOGS;
        loader.write_registers(writes).await.map_err(or_trouble)?;
    }
    let mut words = [0; 4];
    for (word, address) in words.iter_mut().zip(chip::EFUSE_WORDS) {
        *word = loader.read_register(address).await.map_err(or_trouble)?;
    }
    let [w0, w1, w3, w5] = words;
    let mut revision = chip::revision(w3, w5);
    if w3 >> 18 & 7 == 0 {
        let version = loader.read_register(chip::EFUSE_BLOCK_VERSION).await;
        if chip::is_revision_0(w3, version.map_err(or_trouble)?) {
            revision = 0;
        }
    }
    Ok(Identity {
        revision,
        mac: chip::mac(w0, w1),
        psram_bytes: psram_bytes(loader, w5).await?,
    })
}

async fn psram_bytes(loader: &Loader, w5: u32) -> Result<u32, Trouble> {
    let w4 = loader.read_register(chip::EFUSE_WORD_4).await;
    let w4 = w4.map_err(|failure| trouble(&loader.line, failure))?;
    Ok(chip::psram_bytes(w4, w5))
}

/// Refuses a model that has no room in this chip's memory.
pub(crate) async fn check_memory(
    loader: &Loader,
    memory: TensorMemory,
    psram: u32,
) -> Result<(), Trouble> {
    if memory.suffices(psram) {
        return Ok(());
    }
    // A refusal must not come from one bad byte.
    let [.., w5] = chip::EFUSE_WORDS;
    let w5 = loader.read_register(w5).await;
    let w5 = w5.map_err(|failure| trouble(&loader.line, failure))?;
    match psram_bytes(loader, w5).await? == psram {
        true => Err(Trouble::Fatal(FlashError::NoPsram { memory, psram })),
        false => Err(Trouble::Again(link_lost(&loader.line))),
    }
}

async fn objection(loader: &Loader) -> Result<Option<FlashError>, Trouble> {
    let question = Command::GetSecurityInfo;
    match loader
        .repeatable(&question, SecurityInfo::BYTES, TIMEOUT_MS)
        .await
    {
        Ok(answer) => Ok(SecurityInfo::parse(&answer.payload).and_then(|info| info.objection())),
        Err(Failure::Refused(_) | Failure::Garbled) => {
            // Chips before the C3 do not know the question or answer it shorter.
            let magic = loader.read_register(chip::MAGIC_REGISTER).await;
            match magic.map_err(|failure| trouble(&loader.line, failure))? {
                chip::MAGIC => Ok(None),
                magic => Ok(Some(chip::wrong_chip_magic(magic))),
            }
        }
        Err(failure) => Err(trouble(&loader.line, failure)),
    }
}

async fn objection_again(loader: &Loader, first: &FlashError) -> Result<bool, Trouble> {
    for _ in 0..3 {
        match objection(loader).await? {
            None => return Ok(false),
            Some(again) if again == *first => return Ok(true),
            Some(_) => {}
        }
    }
    Err(Trouble::Again(link_lost(&loader.line)))
}

/// Loads the stub into RAM and waits for its greeting.
pub(crate) async fn start_stub(loader: &mut Loader, link: Link) -> Result<(), Trouble> {
    let line = loader.line.clone();
    line.during("starting the stub");
    for (address, image) in stub::IMAGES {
        match upload(loader, address, image, STUB_BLOCK.min(link.most_bytes())).await {
            Ok(()) => {}
            Err(Failure::Refused(_)) => return Err(Trouble::NoStub),
            Err(failure) => return Err(trouble(&line, failure)),
        }
    }
    let request = Command::MemEnd {
        no_entry: false,
        entry: stub::ENTRY,
    };
    let sent = line
        .send(crate::slip::encode(&crate::loader::encode(&request)))
        .await?;
    line.state().progress.round_trips += 1;
    // The answer to MEM_END may be lost in the jump; only the greeting counts.
    while let Some(frame) = line.frame(sent + 1_000).await? {
        if frame == stub::GREETING {
            loader.speaker = Speaker::Stub;
            return Ok(());
        }
    }
    // A greeting with a bad byte still means a running stub.
    line.send(vec![0xC0, 0xC0]).await?;
    match Loader::sync(&line).await? {
        Some(Speaker::Stub) => {
            loader.speaker = Speaker::Stub;
            Ok(())
        }
        _ => Err(Trouble::NoStub),
    }
}

async fn upload(loader: &Loader, address: u32, image: &[u8], block: usize) -> Result<(), Failure> {
    let begin = Command::MemBegin {
        size: image.len() as u32,
        blocks: image.len().div_ceil(block) as u32,
        block_size: block as u32,
        offset: address,
        supports_encryption: false,
    };
    let mut last = Failure::Silent;
    'again: for _ in 0..3 {
        loader.repeatable(&begin, 0, TIMEOUT_MS).await?;
        for (sequence, data) in image.chunks(block).enumerate() {
            let data = Command::MemData {
                data,
                pad_to: 0,
                pad_byte: 0,
                sequence: sequence as u32,
            };
            match loader.command(&data, 0, TIMEOUT_MS).await {
                Ok(_) => {}
                Err(Failure::Fatal(error)) => return Err(Failure::Fatal(error)),
                Err(failure) => {
                    if matches!(failure, Failure::Silent) && !loader.resync().await? {
                        return Err(Failure::Silent);
                    }
                    last = failure;
                    continue 'again;
                }
            }
        }
        return Ok(());
    }
    Err(last)
}

/// Changes both ends' rate and proves it; the caller starts over at the first rate otherwise.
pub(crate) async fn change_baud(loader: &Loader, baud: u32) -> Result<(), Trouble> {
    let line = &loader.line;
    line.during("changing the baud rate");
    let change = Command::ChangeBaudrate {
        new_baud: baud,
        prior_baud: match loader.speaker {
            Speaker::Rom => 0,
            Speaker::Stub => FIRST_BAUD,
        },
    };
    match loader.command(&change, 0, TIMEOUT_MS).await {
        Ok(_) => {}
        Err(Failure::Fatal(error)) => return Err(error.into()),
        Err(_) => return Err(Trouble::NoBaud),
    }
    line.set_baud(baud);
    line.sleep(50).await?;
    line.drain();
    if loader.resync().await? {
        Ok(())
    } else {
        Err(Trouble::NoBaud)
    }
}

/// The next lower one of the usual rates.
pub(crate) fn slower(baud: u32) -> u32 {
    let rates = [921_600, 460_800, 230_400];
    let lower = rates.into_iter().find(|&rate| rate < baud);
    lower.unwrap_or(FIRST_BAUD)
}

/// Attaches the SPI flash, reads its size and tells the loader.
pub(crate) async fn attach_flash(loader: &Loader, identity: Identity) -> Result<ChipInfo, Trouble> {
    let line = &loader.line;
    attach(loader).await?;
    let or_trouble = |failure| trouble(line, failure);
    // Two equal answers: a wrong size would refuse a good plan or let a bad one through.
    let mut id = flash_id(loader).await.map_err(or_trouble)?;
    let mut tries = 0;
    loop {
        let again = flash_id(loader).await.map_err(or_trouble)?;
        if again == id {
            break;
        }
        id = again;
        tries += 1;
        if tries == 3 {
            return Err(Trouble::Again(link_lost(line)));
        }
    }
    let flash_bytes = chip::flash_bytes(id).ok_or(Trouble::Fatal(FlashError::NoFlash { id }))?;
    set_flash_size(loader, flash_bytes).await?;
    Ok(ChipInfo {
        chip: "ESP32-S3".into(),
        revision: chip::revision_name(identity.revision),
        mac: identity.mac,
        flash_bytes,
        flash_id: id,
        psram_bytes: identity.psram_bytes,
    })
}

/// The stub has to be told anew what the ROM knows.
pub(crate) async fn attach_again(loader: &Loader, flash_bytes: u32) -> Result<(), Trouble> {
    attach(loader).await?;
    set_flash_size(loader, flash_bytes).await
}

async fn attach(loader: &Loader) -> Result<(), Trouble> {
    loader.line.during("attaching the flash");
    let spi_params = SpiAttachParams::default();
    let attach = match loader.speaker {
        Speaker::Rom => Command::SpiAttach { spi_params },
        Speaker::Stub => Command::SpiAttachStub { spi_params },
    };
    let answer = loader.repeatable(&attach, 0, TIMEOUT_MS).await;
    answer
        .map(drop)
        .map_err(|failure| trouble(&loader.line, failure))
}

async fn set_flash_size(loader: &Loader, flash_bytes: u32) -> Result<(), Trouble> {
    let spi_params = SpiSetParams::default(flash_bytes);
    let set = Command::SpiSetParams { spi_params };
    let answer = loader.repeatable(&set, 0, TIMEOUT_MS).await;
    answer
        .map(drop)
        .map_err(|failure| trouble(&loader.line, failure))
}

async fn flash_id(loader: &Loader) -> Result<u32, Failure> {
    let user = loader.read_register(chip::SPI_USR).await?;
    let user2 = loader.read_register(chip::SPI_USR2).await?;
    loader.write_registers(&chip::READ_FLASH_ID).await?;
    for _ in 0..10 {
        if loader.read_register(chip::SPI_CMD).await? & chip::SPI_CMD_USR == 0 {
            let id = loader.read_register(chip::SPI_W0).await?;
            let restore = [
                (chip::SPI_USR, user, u32::MAX),
                (chip::SPI_USR2, user2, u32::MAX),
            ];
            loader.write_registers(&restore).await?;
            return Ok(id & 0xFF_FFFF);
        }
    }
    Err(Failure::Refused(packet::UNSUPPORTED))
}
