//! Where a model's tensors and constants are while it runs.

use fixpoint_protocol::Constants;
use fixpoint_runtime::memory::bytes_mut;
use fixpoint_runtime::{Block16, Model};

/// Memory for tensors. A model that fits the internal memory has all of them there, any other all of them in
/// the external, which is larger and slower.
#[derive(Debug, Default)]
pub struct Arenas<'a> {
    /// On the chip.
    pub internal: &'a mut [Block16],
    /// Behind a cache; empty where there is none.
    pub external: &'a mut [Block16],
}

impl<'a> From<&'a mut [Block16]> for Arenas<'a> {
    fn from(internal: &'a mut [Block16]) -> Self {
        Self {
            internal,
            external: &mut [],
        }
    }
}

/// A model and its memory.
pub(crate) struct Placed<'a> {
    pub(crate) model: Model<'a>,
    pub(crate) arena: &'a mut [Block16],
    pub(crate) constants: Constants,
}

impl<'a> Arenas<'a> {
    /// Bytes of both.
    pub(crate) fn bytes(&self) -> [u32; 2] {
        [&*self.internal, &*self.external]
            .map(|arena| u32::try_from(size_of_val(arena)).unwrap_or(u32::MAX))
    }

    /// `model` with its tensors in one of the arenas, and a copy of its image in what is left of them, if that
    /// is enough. Weights are read once or more in every run, a line at a time. By the emulator's cost model,
    /// a line from flash as this release's images read it takes 912 cycles, one from PSRAM 228 (octal) or 480
    /// (quad), and internal memory makes nobody wait. So wherever the copy fits it is made, once, at the start.
    ///
    /// A copy that isn't what it was made from is not used: its checksum is looked at like any image's.
    #[inline(never)]
    pub(crate) fn place(self, mut model: Model<'a>) -> Placed<'a> {
        let blocks = (model.arena_bytes() as usize).div_ceil(size_of::<Block16>());
        let inside = blocks <= self.internal.len();
        let (arena, other) = match inside {
            true => (self.internal, self.external),
            false => (self.external, self.internal),
        };
        let (arena, left) = arena.split_at_mut(blocks.min(arena.len()));
        // The internal one first.
        let (first, second) = if inside { (left, other) } else { (other, left) };
        let mut constants = Constants::Flash;
        if let Some(copied) = copied(&model, first) {
            (model, constants) = (copied, Constants::Internal);
        } else if let Some(copied) = copied(&model, second) {
            (model, constants) = (copied, Constants::Psram);
        }
        Placed {
            model,
            arena,
            constants,
        }
    }
}

/// The model from a copy of its image in `room`, if that is large enough and keeps it.
#[inline(never)]
fn copied<'a>(model: &Model<'_>, room: &'a mut [Block16]) -> Option<Model<'a>> {
    let image = model.image();
    let copy = bytes_mut(room).get_mut(..image.len())?;
    copy.copy_from_slice(image);
    Model::parse(copy).ok()
}
