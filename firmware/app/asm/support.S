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

    // play(steps: *mut Step, count: u32)
    //
    // Each step is three words: a register, a mask and a value; the register's bits of the mask get the value.
    // Behind each, the transaction of SPI1 that it may have started is waited for. In internal RAM, as the steps
    // are, because the controllers that read flash are among what is changed.
    .section .text.iram.play,"ax"
    .literal .Lspi1_cmd, 0x60002000
    .literal .Lplay_patience, 0x10000
    .global play
    .p2align 2
play:
    beqz    a3, 3f
    l32i    a4, a2, 0
    l32i    a5, a2, 4
    l32i    a6, a2, 8
    memw
    l32i    a7, a4, 0
    or      a7, a7, a5
    xor     a7, a7, a5
    or      a7, a7, a6
    s32i    a7, a4, 0
    memw
    l32r    a4, .Lspi1_cmd
    l32r    a5, .Lplay_patience
1:  l32i    a7, a4, 0          // CMD
    bbci    a7, 18, 2f
    addi    a5, a5, -1
    bnez    a5, 1b
2:  addi    a2, a2, 12
    addi    a3, a3, -1
    j       play
3:  ret

    // flash_write(command: u32, address: u32, data: *const u32, bytes: u32) -> u32
    //
    // Write enable, then `command` (erase or program) with 24 bits of address and up to 64 bytes of
    // data, then the flash's status until it is idle: 0, or 1 when it still works after about two seconds.
    // In internal RAM and without touching data in flash, which can't be read meanwhile: no interrupt is
    // ever taken here and the other core waits in internal RAM, so nothing else fetches from it. Through SPI1 in
    // single-line mode (CTRL holds WP high and nothing else, as ESP-IDF's bootloader does for its commands);
    // addresses are right-aligned. Offsets are those of the SPI_MEM registers in ESP-IDF's
    // `soc/spi_mem_reg.h`.
    .section .text.iram.flash_write,"ax"
    .literal .Lspi1, 0x60002000
    .literal .Lone_line, 0x00200000     // CTRL: WP
    .literal .Lcommand_only, 0x80000000 // USER: command
    .literal .Lwith_address, 0xC0000000 // USER: command, address
    .literal .Lwith_data, 0xC8000000    // USER: command, address, data out
    .literal .Lwith_answer, 0x90000000  // USER: command, data in
    .literal .Laddress_bits, 0x5C000000 // USER1: 24 bits
    .literal .Lcommand_bits, 0x70000000 // USER2: 8 bits
    .literal .Lflash_patience, 0x200000
    .global flash_write
    .p2align 2
flash_write:
    mov     a11, a0
    l32r    a6, .Lspi1
    addi    a1, a1, -16
    memw
    l32i    a8, a6, 0x08       // CTRL
    s32i    a8, a1, 0
    l32i    a8, a6, 0x18       // USER
    s32i    a8, a1, 4
    l32i    a8, a6, 0x1C       // USER1
    s32i    a8, a1, 8
    l32i    a8, a6, 0x20       // USER2
    s32i    a8, a1, 12
    l32r    a8, .Lone_line
    s32i    a8, a6, 0x08       // CTRL
    l32r    a9, .Lcommand_only
    movi    a10, 0x06          // write enable
    call0   .Lsend
    addi    a10, a5, 3
    srli    a10, a10, 2
    mov     a8, a6
1:  beqz    a10, 2f
    l32i    a9, a4, 0
    s32i    a9, a8, 0x58       // W0 and on
    addi    a4, a4, 4
    addi    a8, a8, 4
    addi    a10, a10, -1
    j       1b
2:  s32i    a3, a6, 0x04       // ADDR
    l32r    a8, .Laddress_bits
    s32i    a8, a6, 0x1C       // USER1
    l32r    a9, .Lwith_address
    beqz    a5, 3f
    slli    a8, a5, 3
    addi    a8, a8, -1
    s32i    a8, a6, 0x24       // MOSI_DLEN
    l32r    a9, .Lwith_data
3:  mov     a10, a2
    call0   .Lsend
    l32r    a5, .Lflash_patience
4:  movi    a8, 7
    s32i    a8, a6, 0x28       // MISO_DLEN
    movi    a8, 0
    s32i    a8, a6, 0x58       // W0
    l32r    a9, .Lwith_answer
    movi    a10, 0x05          // read status
    call0   .Lsend
    l32i    a2, a6, 0x58       // W0
    extui   a2, a2, 0, 1       // write in progress
    beqz    a2, 5f
    addi    a5, a5, -1
    bnez    a5, 4b
5:  l32i    a8, a1, 0
    s32i    a8, a6, 0x08       // CTRL
    l32i    a8, a1, 4
    s32i    a8, a6, 0x18       // USER
    l32i    a8, a1, 8
    s32i    a8, a6, 0x1C       // USER1
    l32i    a8, a1, 12
    s32i    a8, a6, 0x20       // USER2
    memw
    addi    a1, a1, 16
    mov     a0, a11
    ret
    // a9: USER, a10: command. Changes a8, a10.
    .p2align 2
.Lsend:
    l32r    a8, .Lcommand_bits
    or      a10, a10, a8
    s32i    a10, a6, 0x20      // USER2
    s32i    a9, a6, 0x18       // USER
    memw
    movi    a8, 1
    slli    a8, a8, 18
    s32i    a8, a6, 0x00       // CMD: start
    memw
6:  l32i    a8, a6, 0x00       // CMD
    bbsi    a8, 18, 6b
    ret
