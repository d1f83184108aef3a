//! The app descriptor of ESP-IDF, without which its bootloader refuses an image: 256 bytes at the
//! start of the first segment in flash (ESP-IDF, App Image Format).

#[repr(C)]
struct AppDescriptor {
    magic: u32,
    secure_version: u32,
    reserved_1: [u32; 2],
    version: [u8; 32],
    project_name: [u8; 32],
    time: [u8; 16],
    date: [u8; 16],
    idf_version: [u8; 32],
    elf_sha256: [u8; 32],
    min_efuse_block_revision: u16,
    max_efuse_block_revision: u16,
    mmu_page_size_log2: u8,
    reserved_2: [u8; 3],
    reserved_3: [u32; 18],
}

const _: () = assert!(size_of::<AppDescriptor>() == 256);

/// `text`, zero-padded; its last byte stays zero.
const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() < N, "too long for its field");
    let mut field = [0; N];
    let mut i = 0;
    while i < bytes.len() {
        field[i] = bytes[i];
        i += 1;
    }
    field
}

/// No build time: the same sources give the same bytes.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata_desc")]
static esp_app_desc: AppDescriptor = AppDescriptor {
    magic: 0xABCD_5432,
    secure_version: 0,
    reserved_1: [0; 2],
    version: padded(env!("CARGO_PKG_VERSION")),
    project_name: padded("fixpoint"),
    time: [0; 16],
    date: [0; 16],
    idf_version: [0; 32],
    elf_sha256: [0; 32],
    min_efuse_block_revision: 0,
    max_efuse_block_revision: u16::MAX,
    mmu_page_size_log2: 16,
    reserved_2: [0; 3],
    reserved_3: [0; 18],
};
