//! Where a model's tensors and constants are while it runs.

use fixpoint_protocol::Constants;
use fixpoint_runtime::memory::bytes_mut;
use fixpoint_runtime::{Arena, Block16, Model};

/// Memory for tensors. A model that fits the internal memory has all of them there, any other as many as its
/// image tells apart ([`Model::near_bytes`]), and the rest in the external, which is larger and slower.
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
    pub(crate) arena: Arena<'a>,
    pub(crate) constants: Constants,
}

impl<'a> Arenas<'a> {
    /// Bytes of both.
    pub(crate) fn bytes(&self) -> [u32; 2] {
        [&*self.internal, &*self.external]
            .map(|arena| u32::try_from(size_of_val(arena)).unwrap_or(u32::MAX))
    }

    /// `model` with its tensors in the arenas, and a copy of its image in what is left of them: all of it in
    /// one of them, or else as much as there is room for in the internal one. Weights are read once or more
    /// in every run, a line at a time. By the emulator's cost model, a line from flash as this release's images
    /// read it takes 912 cycles, one from PSRAM 228 (octal) or 480 (quad), and internal memory makes nobody
    /// wait. So wherever a copy fits it is made, once, at the start.
    ///
    /// A copy that isn't what it was made from is not used.
    #[inline(never)]
    pub(crate) fn place(self, mut model: Model<'a>) -> Placed<'a> {
        let [near, far] = parts(&model, self.bytes()).unwrap_or_default();
        let split = |memory: &'a mut [Block16], bytes: u32| {
            let blocks = (bytes as usize).div_ceil(size_of::<Block16>());
            memory.split_at_mut(blocks.min(memory.len()))
        };
        let (near, first) = split(self.internal, near);
        let (far, second) = split(self.external, far);
        let arena = Arena::in_two(near, far);
        let mut constants = Constants::Flash;
        if model.image().len() <= size_of_val(first) {
            if let Some(moved) = moved(&model, first) {
                (model, constants) = (moved, Constants::Internal);
            }
        } else {
            if let Some(moved) = moved(&model, second) {
                (model, constants) = (moved, Constants::Psram);
            }
            model = partly_moved(&model, first).unwrap_or(model);
        }
        Placed {
            model,
            arena,
            constants,
        }
    }
}

/// How many bytes of tensors go to each of two memories, of which the second is slower; `None` if they are
/// too small.
pub(crate) fn parts(model: &Model<'_>, [internal, external]: [u32; 2]) -> Option<[u32; 2]> {
    let (all, near) = (model.arena_bytes(), model.near_bytes());
    let two = [near, all.saturating_sub(near)];
    [[all, 0], two, [0, all]]
        .into_iter()
        .find(|[near, far]| *near <= internal && *far <= external)
}

/// The model from a copy of its image in `room`, if that is large enough and keeps it.
#[inline(never)]
fn moved<'a>(model: &Model<'_>, room: &'a mut [Block16]) -> Option<Model<'a>> {
    let image = model.image();
    let copy = bytes_mut(room).get_mut(..image.len())?;
    copy.copy_from_slice(image);
    model.moved(copy)
}

/// The model with as much of its image as there is `room` for, if that keeps it. Every constant is read about
/// once in a run, so that one is as good as another.
#[inline(never)]
fn partly_moved<'a>(model: &Model<'a>, room: &'a mut [Block16]) -> Option<Model<'a>> {
    let copy = bytes_mut(room);
    let at = model.image().len().checked_sub(copy.len())?;
    copy.copy_from_slice(model.image().get(at..)?);
    model.partly_moved(copy)
}
