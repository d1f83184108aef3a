//! Functions of one element as tables.

use super::{Case, SETTINGS, Setting};
use crate::oracle::{self, Rules};
use crate::random::Random;
use fixpoint_quant::image::Op;
use std::format;
use std::vec::Vec;

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(6);
    for setting in SETTINGS {
        match (setting.bits, setting.rules) {
            (8, _) => (0..2).for_each(|_| cases.push(case(&mut random, setting, 256))),
            (_, Rules::Fixpoint) => {
                for bits in [1, 2, 5, 9, 10] {
                    cases.push(case(&mut random, setting, (1 << bits) + 1));
                }
            }
            // What ESP-DL computes in floating point has an entry for each element.
            (_, Rules::EspdlS3) => cases.push(case(&mut random, setting, 65536)),
            _ => cases.push(case(&mut random, setting, 513)),
        }
    }
}

fn case(random: &mut Random, setting: Setting, entries: usize) -> Case {
    let table = setting.values(random, entries);
    let (low, high) = setting.range();
    let mut values = setting.values(random, 80);
    values.extend([low, low + 1, -1, 0, 1, high - 1, high]);
    let expected: Vec<i64> = values
        .iter()
        .map(|x| oracle::lookup(*x, &table, setting.bits))
        .collect();
    let mut builder = setting.builder("lookup");
    builder.keep_inputs(random.between(0, 1) == 1);
    let x = builder.input(setting.row("x", values.len(), -5));
    let op = Op::Lookup {
        table: table.iter().map(|y| *y as i16).collect(),
    };
    let y = builder.op("lookup", op, &[x], setting.row("y", values.len(), -7));
    builder.output(y);
    setting.case(
        &builder,
        format!("lookup {entries}"),
        &[&values],
        &[&expected],
    )
}
