//! Ways out of here for other people's tools: the `manifest.json` of esp-web-tools, which web pages
//! with its install button read, and one merged image for esptool. And the way in: a manifest of theirs becomes a plan.
//!
//! Format of the manifest: `name`, `version`, `builds[]` with `chipFamily` and `parts[]` of `path` (relative
//! to the manifest) and `offset`; other fields are kept out of our way.

use crate::arrange;
use crate::partition::TABLE_OFFSET;
use crate::plan::{FlashPlan, PlanError, Role, Segment};
use fixpoint_protocol::slot::{RECORD_SECTOR, Record};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What esp-web-tools calls the chip.
pub const CHIP_FAMILY: &str = "ESP32-S3";
/// Longest merged image.
const MAX_BYTES: u64 = 32 << 20;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    #[serde(default)]
    pub version: String,
    /// Ask before everything on the board is erased, instead of erasing.
    #[serde(default)]
    pub new_install_prompt_erase: bool,
    pub builds: Vec<Build>,
}

/// The files for one family of chips.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    pub chip_family: String,
    pub parts: Vec<Part>,
}

/// A file and where it goes in flash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub path: String,
    pub offset: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    #[error("there is no manifest.json among the files")]
    NoManifest,
    #[error("the manifest is not one of esp-web-tools: {0}")]
    Json(String),
    #[error("the manifest has nothing for the {CHIP_FAMILY}, only for: {0}")]
    OtherChips(String),
    #[error("the manifest's build for the {CHIP_FAMILY} names no file")]
    NoParts,
    #[error("{path} is missing: {reason}")]
    Missing { path: String, reason: String },
    #[error("the images end at {0:#x}, which no flash of this chip has")]
    TooLong(u64),
    #[error("{0}")]
    Plan(#[from] PlanError),
}

/// Everything a blank board needs, with what makes the first slots the ones in service: pieces by
/// file name, offset and bytes, in the order of their offsets.
pub fn parts(plan: &FlashPlan) -> Vec<(String, u32, Vec<u8>)> {
    let file = |name: &str| format!("{}.bin", name.replace(' ', "-"));
    let mut parts: Vec<_> = plan
        .segments
        .iter()
        .map(|segment| (file(&segment.name), segment.offset, segment.bytes.clone()))
        .collect();
    if let Some(switch) = plan.app_switch.filter(|_| plan.app_slots.len() > 1) {
        // Both sectors: an older entry would select another slot.
        let mut sectors = vec![0xFF; 2 * arrange::SECTOR];
        let entry = arrange::ota_entry(1);
        sectors[..entry.len()].copy_from_slice(&entry);
        parts.push((file("otadata"), switch, sectors));
    }
    let model = plan.segments.iter().find(|s| s.role == Role::Model);
    let slot = plan.model_slots.first();
    if let (Some(model), Some(slot)) = (model, slot)
        && let Some(id) = model.bytes.get(12..16).and_then(|id| id.try_into().ok())
    {
        // Such tools don't look what is there: a number that no model on the board reaches.
        let record = Record {
            sequence: 1 << 30,
            bytes: model.bytes.len() as u32,
            id: u32::from_le_bytes(id),
        };
        let offset = slot.offset + slot.size - RECORD_SECTOR;
        parts.push((file("model record"), offset, record.encode().to_vec()));
    }
    parts.sort_by_key(|&(_, offset, _)| offset);
    parts
}

impl Manifest {
    /// The manifest for these [`parts`].
    pub fn of(name: &str, version: &str, parts: &[(String, u32, Vec<u8>)]) -> Self {
        let parts = parts.iter().map(|(path, offset, _)| Part {
            path: path.clone(),
            offset: *offset,
        });
        Self {
            name: name.into(),
            version: version.into(),
            new_install_prompt_erase: true,
            builds: vec![Build {
                chip_family: CHIP_FAMILY.into(),
                parts: parts.collect(),
            }],
        }
    }

    pub fn read(json: &str) -> Result<Self, ManifestError> {
        serde_json::from_str(json).map_err(|error| ManifestError::Json(error.to_string()))
    }

    /// Text of `manifest.json`.
    pub fn to_json(&self) -> String {
        // Strings and numbers only.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// A plan of the build for this chip; `fetch` gets a path as it stands in the manifest. The files go where
    /// the manifest says, with no choice of slots.
    pub fn plan(
        &self,
        mut fetch: impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<FlashPlan, ManifestError> {
        let build = self.builds.iter().find(|b| b.chip_family == CHIP_FAMILY);
        let Some(build) = build else {
            let others: Vec<_> = self.builds.iter().map(|b| &b.chip_family[..]).collect();
            return Err(ManifestError::OtherChips(others.join(", ")));
        };
        let mut segments = Vec::new();
        for part in &build.parts {
            let bytes = fetch(&part.path).map_err(|reason| ManifestError::Missing {
                path: part.path.clone(),
                reason,
            })?;
            segments.push(Segment {
                name: part.path.clone(),
                role: role(part.offset, &bytes),
                offset: part.offset,
                bytes,
            });
        }
        if segments.is_empty() {
            return Err(ManifestError::NoParts);
        }
        let plan = FlashPlan {
            segments,
            foreign: true,
            ..FlashPlan::default()
        };
        plan.check()?;
        Ok(plan)
    }
}

/// The plan of a manifest and its files, under the paths that they have in one folder or zip.
pub fn plan_of(files: &[(String, Vec<u8>)]) -> Result<FlashPlan, ManifestError> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let manifest = files.iter().find(|(path, _)| name(path) == "manifest.json");
    // Some call it otherwise.
    let mut others = files.iter().filter(|(path, _)| path.ends_with(".json"));
    let (path, json) = manifest
        .or_else(|| others.next().filter(|_| others.next().is_none()))
        .ok_or(ManifestError::NoManifest)?;
    let folder = &path[..path.len() - name(path).len()];
    Manifest::read(&String::from_utf8_lossy(json))?.plan(|part| {
        let beside = format!("{folder}{}", part.trim_start_matches("./"));
        let there = files.iter().find(|(path, _)| *path == beside);
        // Chosen one by one, files have no folders.
        let alone = || files.iter().find(|(path, _)| *path == name(part));
        let file = there.or_else(alone);
        file.map(|(_, bytes)| bytes.clone())
            .ok_or_else(|| "it is not among the files".to_owned())
    })
}

/// What decides the order of writes: a file at 0 may be a whole merged image, so the bootloader in it is
/// enough to treat it as one.
fn role(offset: u32, bytes: &[u8]) -> Role {
    match (offset, bytes.first()) {
        (0, _) => Role::Bootloader,
        (TABLE_OFFSET, _) => Role::PartitionTable,
        (_, Some(&crate::plan::APP_MAGIC)) => Role::App,
        _ => Role::Data,
    }
}

/// One image from flash offset 0, gaps filled with `FF`, as `esptool merge-bin` makes it.
pub fn merged(parts: &[(String, u32, Vec<u8>)]) -> Result<Vec<u8>, ManifestError> {
    let mut image = Vec::new();
    for (_, offset, bytes) in parts {
        let end = u64::from(*offset) + bytes.len() as u64;
        if end > MAX_BYTES {
            return Err(ManifestError::TooLong(end));
        }
        let (start, end) = (*offset as usize, end as usize);
        if image.len() < end {
            image.resize(end, 0xFF);
        }
        image[start..end].copy_from_slice(bytes);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Prebuilt, partition, plan};

    fn plan() -> FlashPlan {
        let image = |size: usize| {
            let mut image = vec![0x11; size];
            (image[0], image[12], image[13]) = (0xE9, 9, 0);
            image
        };
        let table = partition::build(&partition::default_layout()).unwrap();
        let prebuilt = Prebuilt {
            bootloader: &image(100),
            table: &table,
            runtime: &image(5_000),
        };
        let model = [&plan::MODEL_MAGIC[..], &[7; 60]].concat();
        plan::standard(&prebuilt, Some(&model)).unwrap()
    }

    #[test]
    fn the_manifest_names_every_part_at_its_place() {
        let parts = parts(&plan());
        let manifest = Manifest::of("Fixpoint", "0.1.0", &parts);
        let json: serde_json::Value = serde_json::from_str(&manifest.to_json()).unwrap();
        assert_eq!(json["builds"][0]["chipFamily"], "ESP32-S3");
        let list = json["builds"][0]["parts"].as_array().unwrap();
        let places: Vec<_> = list
            .iter()
            .map(|part| {
                (
                    part["path"].as_str().unwrap(),
                    part["offset"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            places,
            [
                ("bootloader.bin", 0),
                ("partition-table.bin", 0x8000),
                ("otadata.bin", 0x9000),
                ("runtime.bin", 0x1_0000),
                ("model.bin", 0x10_0000),
                ("model-record.bin", 0x27_F000),
            ]
        );
        let read = Manifest::read(&manifest.to_json()).unwrap();
        let plan = read.plan(|path| {
            let part = parts.iter().find(|(name, ..)| name == path);
            part.map(|(.., bytes)| bytes.clone()).ok_or("gone".into())
        });
        let roles: Vec<_> = plan.unwrap().segments.iter().map(|s| s.role).collect();
        let data = Role::Data;
        assert_eq!(
            roles,
            [
                Role::Bootloader,
                Role::PartitionTable,
                data,
                Role::App,
                data,
                data
            ]
        );
        let merged = merged(&parts).unwrap();
        assert_eq!(merged.len(), 0x27_F000 + 20);
        for (name, offset, bytes) in &parts {
            assert!(merged[*offset as usize..].starts_with(bytes), "{name}");
        }
        assert_eq!(merged[0x7000], 0xFF);
    }

    #[test]
    fn what_can_not_be_used_is_refused_in_words() {
        let read = |json: &str| Manifest::read(json);
        assert!(matches!(read("{"), Err(ManifestError::Json(_))));
        let manifest = |builds: &str| {
            let json = format!(r#"{{"name":"x","home_assistant_domain":"y","builds":[{builds}]}}"#);
            read(&json).unwrap().plan(|_| Err("404".into()))
        };
        let other = manifest(r#"{"chipFamily":"ESP32","parts":[]}"#);
        assert_eq!(other, Err(ManifestError::OtherChips("ESP32".into())));
        let none = manifest(r#"{"chipFamily":"ESP32-S3","parts":[]}"#);
        assert_eq!(none, Err(ManifestError::NoParts));
        let gone = manifest(r#"{"chipFamily":"ESP32-S3","parts":[{"path":"a","offset":0}]}"#);
        assert_eq!(gone.unwrap_err().to_string(), "a is missing: 404");
        let far = [("x".into(), 0xFFFF_F000, vec![0; 9])];
        assert!(matches!(merged(&far), Err(ManifestError::TooLong(_))));
    }

    #[test]
    fn files_are_found_beside_the_manifest_or_by_their_names() {
        let json = br#"{"name": "x", "builds": [{"chipFamily": "ESP32-S3",
            "parts": [{"path": "./build/app.bin", "offset": 65536}]}]}"#;
        let file = |path: &str, bytes: &[u8]| (path.to_owned(), bytes.to_vec());
        let folder = [
            file("site/app.bin", &[1]),
            file("site/manifest.json", json),
            file("site/build/app.bin", &[0xE9, 2]),
        ];
        let plan = plan_of(&folder).unwrap();
        assert_eq!(plan.segments[0].bytes, [0xE9, 2]);
        assert!(plan.foreign);
        let chosen = [file("esp32s3.json", json), file("app.bin", &[0xE9, 3])];
        assert_eq!(plan_of(&chosen).unwrap().segments[0].bytes, [0xE9, 3]);
        let error = plan_of(&chosen[..1]).unwrap_err().to_string();
        assert!(error.contains("build/app.bin is missing"), "{error}");
        assert_eq!(plan_of(&folder[..1]), Err(ManifestError::NoManifest));
    }
}
