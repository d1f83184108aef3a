//! Which of several model slots runs, by the rule of [`fixpoint_protocol::slot`].

use fixpoint_protocol::ErrorCode;
use fixpoint_protocol::slot::{RECORD_SECTOR, Record};
use fixpoint_runtime::Model;

/// What the model slots hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The slot that runs, all of it, or why none does. Without a valid model the first that is not
    /// blank, so that the host is told what is wrong with it.
    pub image: Result<&'a [u8], ErrorCode>,
    /// Rank of the model that runs; 0 when none does.
    pub rank: u32,
    /// Slot for the next model: one that does not run. `None` when there is only one slot.
    pub spare: Option<usize>,
}

/// The valid model of the highest rank; of equal ranks the first. `slots` in their order in the
/// partition table, each 16-byte aligned in memory.
pub fn choose<'a>(slots: impl IntoIterator<Item = &'a [u8]>) -> Choice<'a> {
    let mut refused = Err(ErrorCode::NoModelPartition);
    let mut best: Option<(u32, usize, &[u8])> = None;
    // Without a running model the last, which leaves the first to the flasher.
    let mut spare = None;
    let mut count = 0;
    for (index, bytes) in slots.into_iter().enumerate() {
        count += 1;
        match Model::parse(bytes) {
            Ok(model) => {
                let record = bytes.len().checked_sub(RECORD_SECTOR as usize);
                let record = record.and_then(|at| Record::decode(&bytes[at..]));
                let rank = Record::rank(record, model.id());
                match best {
                    Some((other, ..)) if other >= rank => spare = Some(index),
                    _ => {
                        spare = best.map(|(_, other, _)| other).or(spare);
                        best = Some((rank, index, bytes));
                    }
                }
            }
            Err(_) => {
                spare = Some(index);
                refused = match bytes.iter().take(16).all(|&byte| byte == 0xFF) {
                    true => refused.or(Err(ErrorCode::ModelBlank)),
                    false => refused.or(Ok(bytes)),
                };
            }
        }
    }
    Choice {
        image: best.map_or(refused, |(_, _, bytes)| Ok(bytes)),
        rank: best.map_or(0, |(rank, ..)| rank),
        spare: spare.filter(|_| count > 1),
    }
}
