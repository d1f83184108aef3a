//! Registers that random programs access: of the peripherals, and of the core.

use fixpoint_isa::special;

/// Registers of peripherals that are modelled: first, and how many words.
pub(crate) const REGISTERS: [(u32, u32); 34] = [
    (0x6000_0000, 1),
    (0x6000_0014, 1),
    (0x6000_001C, 3),
    (0x6000_0078, 1),
    (0x6000_0080, 1),
    (0x6000_2000, 3),
    (0x6000_2014, 6),
    (0x6000_2034, 1),
    (0x6000_203C, 1),
    (0x6000_2058, 16),
    (0x6000_20E0, 1),
    (0x6000_3034, 1),
    (0x6000_3040, 5),
    (0x6000_30DC, 1),
    (0x6000_30E4, 1),
    (0x6000_7054, 2),
    (0x6000_8000, 1),
    (0x6000_8098, 9),
    (0x6000_80BC, 1),
    (0x6000_812C, 1),
    (0x6000_906C, 12),
    (0x6001_F048, 8),
    (0x6002_0048, 8),
    (0x6003_8000, 2),
    (0x600C_0000, 2),
    (0x600C_0010, 1),
    (0x600C_0060, 1),
    (0x600C_4000, 2),
    (0x600C_4028, 3),
    (0x600C_4064, 1),
    (0x600C_4150, 1),
    (0x600C_5000, 512),
    (0x600F_E000, 2048),
    (0x5000_0000, 2048),
];

/// What a peripheral takes for something else than any number: keys, commands, fields.
pub(crate) const VALUES: [u32; 16] = [
    0,
    1,
    2,
    6,
    u32::MAX,
    0x50D8_3AA1,
    0x8F1D_312A,
    1 << 18,
    1 << 31,
    0x4000_0000,
    0x8000,
    0x4000,
    0xF800_0000,
    0x0000_0400,
    0x0700_0020,
    0x0000_1FF7,
];

/// Special registers that any value may go to.
pub(crate) const FREE: [u8; 20] = [
    special::SAR,
    special::SCOMPARE1,
    special::LCOUNT,
    special::EPS2,
    special::EPS3,
    special::EXCSAVE2,
    special::EXCSAVE7,
    special::CPENABLE,
    special::INTERRUPT,
    special::INTCLEAR,
    special::INTENABLE,
    special::EXCCAUSE,
    special::EXCVADDR,
    special::CCOUNT,
    special::CCOMPARE0,
    special::CCOMPARE1,
    special::CCOMPARE2,
    special::MISC0,
    special::MISC1,
    special::MISC3,
];

/// Beside [`FREE`], those that can be read.
pub(crate) const READ: [u8; 10] = [
    special::LBEG,
    special::LEND,
    special::EPC1,
    special::EPC2,
    special::EPS7,
    special::DEPC,
    special::PS,
    special::VECBASE,
    special::PRID,
    special::WINDOWSTART,
];

pub(crate) const SPI1_CMD: u32 = 0x6000_2000;
pub(crate) const CMD_USR: u32 = 1 << 18;
pub(crate) const EFUSE: u32 = 0x6000_7000;
pub(crate) const EFUSE_END: u32 = 0x6000_8000;
pub(crate) const EXTMEM: u32 = 0x600C_4000;
