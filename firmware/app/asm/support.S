// What Rust can't say for this target (inline assembly is refused): ordered register access, the
// cycle counter, and changing the flash MMU while the data cache stands still.

    // reg_read(address: u32) -> u32
    .section .text.reg_read,"ax"
    .global reg_read
    .p2align 2
reg_read:
    memw
    l32i    a2, a2, 0
    memw
    ret

    // reg_write(address: u32, value: u32)
    .section .text.reg_write,"ax"
    .global reg_write
    .p2align 2
reg_write:
    memw
    s32i    a3, a2, 0
    memw
    ret

    // cycle_count() -> u32
    .section .text.cycle_count,"ax"
    .global cycle_count
    .p2align 2
cycle_count:
    rsr     a2, ccount
    ret

    // map_flash(entry: u32, page: u32, count: u32)
    //
    // Entries `entry..entry + count` of the MMU table show flash pages `page..` from then on. In
    // internal RAM and without touching data in flash, as the data cache is frozen meanwhile. All
    // waits are bounded: a cache that never answers shows as wrong data, which the CRC of the image
    // catches, and not as a dead board. Offsets are those of the EXTMEM registers in ESP-IDF's
    // `soc/extmem_reg.h` (this assembler takes no names for offsets).
    .section .text.iram.map_flash,"ax"
    .literal .Lextmem, 0x600C4000
    .literal .Lmmu, 0x600C5000
    .literal .Ldrom, 0x3C000000
    .literal .Lpatience, 0x10000
    .global map_flash
    .p2align 2
map_flash:
    l32r    a5, .Lextmem
    // DCACHE_FREEZE: bit 0 asks, bit 2 answers.
    movi    a7, 1
    memw
    l32i    a6, a5, 0x150      // DCACHE_FREEZE
    or      a6, a6, a7
    s32i    a6, a5, 0x150      // DCACHE_FREEZE
    memw
    l32r    a8, .Lpatience
1:  l32i    a6, a5, 0x150      // DCACHE_FREEZE
    bbsi    a6, 2, 2f
    addi    a8, a8, -1
    bnez    a8, 1b
2:  l32r    a9, .Lmmu
    addx4   a9, a2, a9
    mov     a10, a4
3:  beqz    a10, 4f
    s32i    a3, a9, 0
    memw
    addi    a9, a9, 4
    addi    a3, a3, 1
    addi    a10, a10, -1
    j       3b
4:  movi    a7, -2
    l32i    a6, a5, 0x150      // DCACHE_FREEZE
    and     a6, a6, a7
    s32i    a6, a5, 0x150      // DCACHE_FREEZE
    memw
    l32r    a8, .Lpatience
5:  l32i    a6, a5, 0x150      // DCACHE_FREEZE
    bbci    a6, 2, 6f
    addi    a8, a8, -1
    bnez    a8, 5b
    // Lines of the new range go: address, and number of lines of 16 << DCACHE_CTRL[4:3] bytes.
6:  slli    a6, a2, 16
    l32r    a7, .Ldrom
    add     a6, a6, a7
    s32i    a6, a5, 0x02C      // DCACHE_SYNC_ADDR
    l32i    a7, a5, 0x000      // DCACHE_CTRL
    extui   a7, a7, 3, 2
    slli    a6, a4, 12
    ssr     a7
    srl     a6, a6
    s32i    a6, a5, 0x030      // DCACHE_SYNC_SIZE
    memw
    movi    a7, 1
    l32i    a6, a5, 0x028      // DCACHE_SYNC_CTRL
    or      a6, a6, a7
    s32i    a6, a5, 0x028      // DCACHE_SYNC_CTRL
    memw
    l32r    a8, .Lpatience
7:  l32i    a6, a5, 0x028      // DCACHE_SYNC_CTRL
    bbsi    a6, 3, 8f
    addi    a8, a8, -1
    bnez    a8, 7b
8:  memw
    ret
