//! From the firmware's ELF to what is written into flash: the app image in ESP-IDF's format, and
//! the second-stage bootloader that loads it.
//!
//! Both come from the espflash crate; the bootloader is ESP-IDF's (Apache-2.0), built by the
//! espflash project and carried in its crate.

use std::error::Error;

use espflash::flasher::{FlashData, FlashFrequency, FlashMode, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip, XtalFrequency};
use thiserror::Error;

use crate::partition;
use crate::plan::BOOTLOADER_OFFSET;

/// Everything but the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    pub bootloader: Vec<u8>,
    /// [`partition::default_layout`].
    pub partition_table: Vec<u8>,
    /// Offset of the app partition in flash.
    pub app_offset: u32,
    pub app: Vec<u8>,
}

#[derive(Debug, Error)]
pub enum ImageError {
    #[error("the firmware's ELF can't be made into an app image: {0}")]
    Elf(String),
    #[error("the app image has no {0} segment")]
    Missing(&'static str),
    #[error("the app image has {bytes} bytes and its partition holds {room}")]
    TooBig { bytes: usize, room: u32 },
}

/// Builds the images for a board with 4 MB of flash or more, read in dual mode at 40 MHz, which
/// every ESP32-S3 module can do.
pub fn assemble(elf: &[u8]) -> Result<Images, ImageError> {
    let settings = FlashSettings::new(
        Some(FlashMode::Dio),
        Some(FlashSize::_4Mb),
        Some(FlashFrequency::_40Mhz),
    );
    let data = FlashData::new(settings, 0, None, Chip::Esp32s3, XtalFrequency::_40Mhz);
    let format = IdfBootloaderFormat::new(elf, &data, None, None, None, None)
        .map_err(|error| ImageError::Elf(sentence(&error)))?;

    let layout = partition::default_layout();
    let place = layout
        .iter()
        .find(|partition| partition.kind == 0)
        .ok_or(ImageError::Missing("app partition"))?;
    let segment = |offset: u32, name| {
        let found = format.clone().flash_segments().find(|s| s.addr == offset);
        found
            .map(|segment| segment.data().to_vec())
            .ok_or(ImageError::Missing(name))
    };
    let bootloader = segment(BOOTLOADER_OFFSET, "bootloader")?;
    let app = segment(place.offset, "app")?;
    if app.len() > place.size as usize {
        return Err(ImageError::TooBig {
            bytes: app.len(),
            room: place.size,
        });
    }
    Ok(Images {
        bootloader,
        partition_table: partition::build(&layout).map_err(|e| ImageError::Elf(e.to_string()))?,
        app_offset: place.offset,
        app,
    })
}

/// An error with what caused it.
fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
