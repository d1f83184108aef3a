//! The flash as the data cache shows it: the partition table, and model partitions.
//!
//! The flash MMU has 512 entries of 64 KiB each for data at 0x3C000000 and code at 0x42000000
//! (ESP-IDF, `soc/ext_mem_defs.h`). The app itself uses the first few. Those used here lie beyond
//! the ones the bootloader maps through, so no stale cache line can be in the way.

use fixpoint_device::ErrorCode;
use fixpoint_runtime::Model;

const PAGE: u32 = 0x1_0000;
const DROM: u32 = 0x3C00_0000;
const TABLE_ENTRY: u32 = 0x100;
const MODEL_ENTRY: u32 = 0x110;
const MAX_ENTRIES: u32 = 0x200;

const TABLE_OFFSET: u32 = 0x8000;
const TABLE_BYTES: u32 = 0xC00;
/// Type of a partition that holds a model image; same number in the flasher's `partition.rs`.
const MODEL_TYPE: u8 = 0x40;

// SAFETY: assembly in `support.S`, call0 ABI, matching signature.
unsafe extern "C" {
    fn map_flash(entry: u32, page: u32, count: u32);
}

/// The first model partition with a valid image: its bytes, at a 16-byte aligned address.
///
/// Without a valid one, the first that is not blank, so that the host is told what is wrong with it.
pub(crate) fn find_model() -> Result<&'static [u8], ErrorCode> {
    let table = window(TABLE_ENTRY, TABLE_OFFSET, TABLE_BYTES);
    let mut refused = Err(ErrorCode::NoModelPartition);
    let mut free_entry = MODEL_ENTRY;
    for entry in table.chunks_exact(32) {
        let &[0xAA, 0x50, kind, _, a, b, c, d, e, f, g, h, ..] = entry else {
            break;
        };
        let offset = u32::from_le_bytes([a, b, c, d]);
        let size = u32::from_le_bytes([e, f, g, h]);
        let pages = (u64::from(offset % PAGE) + u64::from(size)).div_ceil(u64::from(PAGE));
        if kind != MODEL_TYPE || pages == 0 || pages > u64::from(MAX_ENTRIES - free_entry) {
            continue;
        }
        let bytes = window(free_entry, offset, size);
        free_entry += (offset % PAGE + size).div_ceil(PAGE);
        if Model::parse(bytes).is_ok() {
            return Ok(bytes);
        }
        if bytes.iter().take(16).any(|&byte| byte != 0xFF) {
            refused = refused.or(Ok(bytes));
        } else {
            refused = refused.or(Err(ErrorCode::ModelBlank));
        }
    }
    refused
}

/// `length` bytes of flash from `offset` on, shown from MMU entry `entry` on, which nothing else
/// may use before or after.
fn window(entry: u32, offset: u32, length: u32) -> &'static [u8] {
    let start = offset % PAGE;
    // SAFETY: the range of entries is free (see above) and, by the callers' limits, in the table.
    unsafe { map_flash(entry, offset / PAGE, (start + length).div_ceil(PAGE)) };
    let address = DROM + entry * PAGE + start;
    // SAFETY: mapped just now, read-only, and any bytes are valid `u8`s.
    unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) }
}
