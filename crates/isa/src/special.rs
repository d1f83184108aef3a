//! Numbers and names of the special registers (Xtensa ISA Reference Manual, section 5.3; those of
//! the ESP32-S3's configuration).

macro_rules! registers {
    ($($name:ident $number:literal $text:literal;)*) => {
        $(pub const $name: u8 = $number;)*

        /// The register's name in assembly.
        pub const fn name(number: u8) -> Option<&'static str> {
            match number {
                $($number => Some($text),)*
                _ => None,
            }
        }

        /// The register of that name, in either case.
        pub(crate) fn number(name: &str) -> Option<u8> {
            let all = [$(($number, $text)),*];
            let found = all.iter().find(|(_, text)| text.eq_ignore_ascii_case(name));
            found.map(|(number, _)| *number)
        }
    };
}

registers! {
    LBEG 0 "lbeg";
    LEND 1 "lend";
    LCOUNT 2 "lcount";
    SAR 3 "sar";
    BR 4 "br";
    SCOMPARE1 12 "scompare1";
    ACCLO 16 "acclo";
    ACCHI 17 "acchi";
    M0 32 "m0";
    M1 33 "m1";
    M2 34 "m2";
    M3 35 "m3";
    WINDOWBASE 72 "windowbase";
    WINDOWSTART 73 "windowstart";
    IBREAKENABLE 96 "ibreakenable";
    MEMCTL 97 "memctl";
    ATOMCTL 99 "atomctl";
    DDR 104 "ddr";
    IBREAKA0 128 "ibreaka0";
    IBREAKA1 129 "ibreaka1";
    DBREAKA0 144 "dbreaka0";
    DBREAKA1 145 "dbreaka1";
    DBREAKC0 160 "dbreakc0";
    DBREAKC1 161 "dbreakc1";
    CONFIGID0 176 "configid0";
    EPC1 177 "epc1";
    EPC2 178 "epc2";
    EPC3 179 "epc3";
    EPC4 180 "epc4";
    EPC5 181 "epc5";
    EPC6 182 "epc6";
    EPC7 183 "epc7";
    DEPC 192 "depc";
    EPS2 194 "eps2";
    EPS3 195 "eps3";
    EPS4 196 "eps4";
    EPS5 197 "eps5";
    EPS6 198 "eps6";
    EPS7 199 "eps7";
    CONFIGID1 208 "configid1";
    EXCSAVE1 209 "excsave1";
    EXCSAVE2 210 "excsave2";
    EXCSAVE3 211 "excsave3";
    EXCSAVE4 212 "excsave4";
    EXCSAVE5 213 "excsave5";
    EXCSAVE6 214 "excsave6";
    EXCSAVE7 215 "excsave7";
    CPENABLE 224 "cpenable";
    // Reads INTERRUPT, writes INTSET.
    INTERRUPT 226 "interrupt";
    INTCLEAR 227 "intclear";
    INTENABLE 228 "intenable";
    PS 230 "ps";
    VECBASE 231 "vecbase";
    EXCCAUSE 232 "exccause";
    DEBUGCAUSE 233 "debugcause";
    CCOUNT 234 "ccount";
    PRID 235 "prid";
    ICOUNT 236 "icount";
    ICOUNTLEVEL 237 "icountlevel";
    EXCVADDR 238 "excvaddr";
    CCOMPARE0 240 "ccompare0";
    CCOMPARE1 241 "ccompare1";
    CCOMPARE2 242 "ccompare2";
    MISC0 244 "misc0";
    MISC1 245 "misc1";
    MISC2 246 "misc2";
    MISC3 247 "misc3";
}
