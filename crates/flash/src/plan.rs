//! What to write where, checked before the port is touched.

use crate::partition::{self, APP_TYPE, MODEL_TYPE, OTA_DATA, Partition, TABLE_OFFSET, TableError};
use fixpoint_protocol::slot::RECORD_SECTOR;
use serde::Serialize;
use thiserror::Error;

/// Where the ESP32-S3's ROM looks for the second-stage bootloader.
pub const BOOTLOADER_OFFSET: u32 = 0;
/// First byte of a bootloader or application image.
pub const APP_MAGIC: u8 = 0xE9;
/// First bytes of a model image.
pub const MODEL_MAGIC: [u8; 4] = *b"FXPM";
/// Chip number of the ESP32-S3 in image headers and in the ROM's security info.
pub const ESP32S3_CHIP_ID: u16 = 9;

/// What a segment is for; the session derives its write order from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Bootloader,
    PartitionTable,
    /// The application: its first sector is what makes the board bootable, so it is written last.
    App,
    Model,
    Data,
}

/// Bytes to be in flash from `offset` on (a multiple of 4096).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub name: String,
    pub role: Role,
    pub offset: u32,
    pub bytes: Vec<u8>,
}

/// A place in flash for one of several applications or models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub offset: u32,
    pub size: u32,
}

/// Segments in any order; the session orders the writes. Where there are slots, it also chooses the
/// one that is not in use: the offset of an application or model is then that of the first slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlashPlan {
    pub segments: Vec<Segment>,
    /// Where the application may lie; fewer than two: only at its segment's offset.
    pub app_slots: Vec<Slot>,
    /// The two sectors that say which application slot starts (ESP-IDF's OTA data).
    pub app_switch: Option<u32>,
    /// Where the model may lie, each with its record in the last sector
    /// (`fixpoint_protocol::slot`).
    pub model_slots: Vec<Slot>,
    /// What the model takes of the runtime's memory; none: not looked at.
    pub memory: Option<TensorMemory>,
    /// Another project's images: what starts is not our runtime, and says nothing over the link.
    pub foreign: bool,
}

/// Bytes for the tensors of a model, whose place is internal memory, or PSRAM if that is too small, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorMemory {
    pub needed: u32,
    /// Those of them that may be in internal memory while the rest is in PSRAM.
    pub near: u32,
    /// What the runtime has in internal memory.
    pub internal: u32,
}

impl TensorMemory {
    /// Every runtime has at least this in internal memory.
    const ALWAYS: u32 = 256 << 10;
    /// What the runtime keeps free at both ends of PSRAM.
    pub const PSRAM_MARGINS: u32 = 128;

    /// `internal` is asked only where it matters; none: it can't be told.
    pub fn of([needed, near]: [u32; 2], internal: impl FnOnce() -> Option<u32>) -> Option<Self> {
        let matters = needed > Self::ALWAYS;
        let internal = matters.then(internal).flatten()?;
        Some(Self {
            needed,
            near,
            internal,
        })
    }

    /// Whether the model runs beside this much PSRAM.
    pub fn suffices(&self, psram_bytes: u32) -> bool {
        let psram_bytes = psram_bytes.saturating_sub(Self::PSRAM_MARGINS);
        let both =
            self.near <= self.internal && self.needed.saturating_sub(self.near) <= psram_bytes;
        both || self.needed <= self.internal.max(psram_bytes)
    }
}

/// The prebuilt images as they are committed under `firmware/prebuilt/`.
#[derive(Debug, Clone, Copy)]
pub struct Prebuilt<'a> {
    pub bootloader: &'a [u8],
    pub table: &'a [u8],
    pub runtime: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    #[error("the {0} is not an ESP32-S3 image")]
    NotAnImage(&'static str),
    #[error("the {name} has {bytes} bytes, and its place in flash holds {room}")]
    TooBig {
        name: String,
        bytes: usize,
        room: u32,
    },
    #[error("the model is not a Fixpoint model image")]
    NotAModel,
    #[error("the model is empty")]
    Empty,
    #[error("{0}")]
    Table(#[from] TableError),
    #[error("the partition table has no {0}")]
    NoPartition(&'static str),
    #[error("segment {0:?} does not start on a 4 KiB sector")]
    Alignment(String),
    #[error("segments {0:?} and {1:?} overlap")]
    Overlap(String, String),
}

impl Slot {
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    fn of(partition: &Partition) -> Self {
        Self {
            offset: partition.offset,
            size: partition.size,
        }
    }
}

impl Segment {
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + self.bytes.len() as u64
    }
}

impl FlashPlan {
    /// Bytes of all segments.
    pub fn total_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes.len() as u64).sum()
    }

    /// Checks alignment and overlap, which every plan must satisfy.
    pub fn check(&self) -> Result<(), PlanError> {
        for (index, segment) in self.segments.iter().enumerate() {
            if !segment.offset.is_multiple_of(0x1000) {
                return Err(PlanError::Alignment(segment.name.clone()));
            }
            if segment.bytes.is_empty() {
                return Err(PlanError::Empty);
            }
            // Whole sectors are erased, so two segments may not share one.
            let sectors = |s: &Segment| (u64::from(s.offset), s.end().next_multiple_of(0x1000));
            let (start, end) = sectors(segment);
            for other in &self.segments[..index] {
                let (s, e) = sectors(other);
                if start < e && s < end {
                    let names = (other.name.clone(), segment.name.clone());
                    return Err(PlanError::Overlap(names.0, names.1));
                }
            }
        }
        Ok(())
    }
}

/// The usual plan: bootloader, table, runtime, and the model (if any) in the first model slot.
pub fn standard(prebuilt: &Prebuilt<'_>, model: Option<&[u8]>) -> Result<FlashPlan, PlanError> {
    let partitions = partition::parse(prebuilt.table)?;
    check_app_image("bootloader", prebuilt.bootloader)?;
    check_app_image("runtime", prebuilt.runtime)?;
    let app = partitions
        .iter()
        .filter(|p| p.kind == APP_TYPE)
        .min_by_key(|p| p.subtype)
        .ok_or(PlanError::NoPartition("app partition"))?;

    let mut segments = vec![
        segment(
            "bootloader",
            Role::Bootloader,
            BOOTLOADER_OFFSET,
            TABLE_OFFSET,
            prebuilt.bootloader,
        )?,
        segment(
            "partition table",
            Role::PartitionTable,
            TABLE_OFFSET,
            0x1000,
            prebuilt.table,
        )?,
        segment("runtime", Role::App, app.offset, app.size, prebuilt.runtime)?,
    ];
    if let Some(model) = model {
        segments.push(model_segment(&partitions, model)?);
    }
    let mut app_slots: Vec<_> = partitions
        .iter()
        .filter(|p| p.kind == APP_TYPE && p.size >= app.size)
        .collect();
    app_slots.sort_by_key(|p| p.subtype);
    // ESP-IDF's bootloader counts OTA slots only; beside a factory app there is no even choice.
    let even = app_slots.len() > 1 && app_slots.iter().all(|p| p.subtype >= 0x10);
    let switch = partitions
        .iter()
        .find(|p| (p.kind, p.subtype) == OTA_DATA && p.size >= 0x2000);
    let plan = FlashPlan {
        segments,
        app_slots: match (even, switch) {
            (true, Some(_)) => app_slots.into_iter().map(Slot::of).collect(),
            _ => Vec::new(),
        },
        app_switch: switch.map(|p| p.offset),
        model_slots: model_slots(&partitions),
        memory: None,
        foreign: false,
    };
    plan.check()?;
    Ok(plan)
}

fn model_slots(partitions: &[Partition]) -> Vec<Slot> {
    let mut slots: Vec<_> = partitions.iter().filter(|p| p.kind == MODEL_TYPE).collect();
    slots.sort_by_key(|p| p.subtype);
    slots.into_iter().map(Slot::of).collect()
}

/// Only the model, for a board whose runtime is known to be current.
pub fn model_only(table: &[u8], model: &[u8]) -> Result<FlashPlan, PlanError> {
    let partitions = partition::parse(table)?;
    Ok(FlashPlan {
        segments: vec![model_segment(&partitions, model)?],
        model_slots: model_slots(&partitions),
        ..FlashPlan::default()
    })
}

fn model_segment(partitions: &[Partition], model: &[u8]) -> Result<Segment, PlanError> {
    if !model.starts_with(&MODEL_MAGIC) {
        return Err(PlanError::NotAModel);
    }
    let slots = model_slots(partitions);
    let slot = slots.first();
    let slot = slot.ok_or(PlanError::NoPartition("model partition"))?;
    let room = slots.iter().map(|slot| slot.size).min().unwrap_or(0);
    let room = room.saturating_sub(RECORD_SECTOR);
    segment("model", Role::Model, slot.offset, room, model)
}

fn segment(
    name: &str,
    role: Role,
    offset: u32,
    room: u32,
    bytes: &[u8],
) -> Result<Segment, PlanError> {
    if bytes.len() as u64 > u64::from(room) {
        return Err(PlanError::TooBig {
            name: name.into(),
            bytes: bytes.len(),
            room,
        });
    }
    Ok(Segment {
        name: name.into(),
        role,
        offset,
        bytes: bytes.to_vec(),
    })
}

fn check_app_image(name: &'static str, image: &[u8]) -> Result<(), PlanError> {
    let chip = image
        .get(12..14)
        .map(|id| u16::from_le_bytes([id[0], id[1]]));
    if image.first() != Some(&APP_MAGIC) || chip != Some(ESP32S3_CHIP_ID) {
        return Err(PlanError::NotAnImage(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: usize) -> Vec<u8> {
        let mut image = vec![0; size];
        (image[0], image[12]) = (APP_MAGIC, ESP32S3_CHIP_ID as u8);
        image
    }

    fn plan(runtime: &[u8], model: Option<&[u8]>) -> Result<FlashPlan, PlanError> {
        let table = partition::build(&partition::default_layout()).unwrap();
        let prebuilt = Prebuilt {
            bootloader: &image(20_000),
            table: &table,
            runtime,
        };
        standard(&prebuilt, model)
    }

    #[test]
    fn puts_everything_in_its_place() {
        let model = [&MODEL_MAGIC[..], &[0; 60]].concat();
        let plan = plan(&image(70_000), Some(&model)).unwrap();
        let places: Vec<_> = plan
            .segments
            .iter()
            .map(|s| (s.name.as_str(), s.offset))
            .collect();
        assert_eq!(
            places,
            [
                ("bootloader", 0),
                ("partition table", 0x8000),
                ("runtime", 0x1_0000),
                ("model", 0x10_0000)
            ]
        );
        assert_eq!(plan.total_bytes(), 20_000 + 0xC00 + 70_000 + 64);
    }

    #[test]
    fn refuses_what_would_not_run() {
        let too_big = [&MODEL_MAGIC[..], &vec![0; 0x18_0000]].concat();
        let error = plan(&image(70_000), Some(&too_big)).unwrap_err();
        assert!(
            matches!(error, PlanError::TooBig { ref name, room: 0x17_F000, .. } if name == "model")
        );
        assert_eq!(
            plan(&image(70_000), Some(b"onnx")),
            Err(PlanError::NotAModel)
        );
        assert_eq!(
            plan(b"\x7fELF", None),
            Err(PlanError::NotAnImage("runtime"))
        );
        let mut other_chip = image(70_000);
        other_chip[12] = 5;
        assert_eq!(
            plan(&other_chip, None),
            Err(PlanError::NotAnImage("runtime"))
        );
        assert!(matches!(
            plan(&image(0x7_0001), None),
            Err(PlanError::TooBig { .. })
        ));
    }

    #[test]
    fn refuses_two_segments_in_one_sector() {
        let segment = |offset, size| Segment {
            name: format!("{offset:#x}"),
            role: Role::Data,
            offset,
            bytes: vec![0; size],
        };
        let plan = |segments| {
            FlashPlan {
                segments,
                ..FlashPlan::default()
            }
            .check()
        };
        assert_eq!(
            plan(vec![segment(0x1000, 0x1000), segment(0x2000, 1)]),
            Ok(())
        );
        let overlap = plan(vec![segment(0x2000, 1), segment(0x1000, 0x1001)]);
        assert!(matches!(overlap, Err(PlanError::Overlap(..))));
        assert!(matches!(
            plan(vec![segment(0x800, 1)]),
            Err(PlanError::Alignment(_))
        ));
        assert_eq!(plan(vec![segment(0, 0)]), Err(PlanError::Empty));
    }
}
