//! The orders of channels at the end of an image, for people who look at hidden tensors: a board needs none.

use super::Order;
use fixpoint_runtime::format::HEADER_BYTES;

/// What an image with orders ends with, behind the offset of the table.
const MARK: [u8; 4] = *b"ORDR";

/// The table, and how long it is, and the mark, in u16 but for these two: how many orders there are; of each, how many
/// channels it has, and them; for each tensor in the order of the image 0, or a number from 1 on. Nothing if no
/// channels are ordered.
pub(crate) fn write(orders: &[Option<&Order>]) -> Vec<u8> {
    let mut different: Vec<&Order> = Vec::new();
    let mut tensors: Vec<usize> = Vec::new();
    for order in orders {
        tensors.push(match order {
            None => 0,
            Some(order) => match different.iter().position(|known| known == order) {
                Some(at) => at + 1,
                None => {
                    different.push(order);
                    different.len()
                }
            },
        });
    }
    let mut table = vec![different.len()];
    for order in &different {
        table.push(order.len());
        table.extend(*order);
    }
    table.extend(tensors);
    let fits = table.iter().all(|value| u16::try_from(*value).is_ok());
    if different.is_empty() || !fits {
        return Vec::new();
    }
    let mut bytes: Vec<u8> = (table.iter())
        .flat_map(|value| (*value as u16).to_le_bytes())
        .collect();
    bytes.extend((bytes.len() as u32).to_le_bytes());
    bytes.extend(MARK);
    bytes
}

/// What is read of a table.
#[derive(Default)]
pub(crate) struct Orders {
    different: Vec<Order>,
    /// By tensor, 0 or the number of its order, from 1 on.
    tensors: Vec<usize>,
}

impl Orders {
    /// Those of an image; of no tensor, where its end is no table.
    pub(crate) fn of(image: &[u8]) -> Self {
        Self::read(image).unwrap_or_default()
    }

    fn read(image: &[u8]) -> Option<Self> {
        let before = image.get(HEADER_BYTES as usize..)?.strip_suffix(&MARK)?;
        let (before, length) = before.split_last_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let table = before.get(before.len().checked_sub(length)?..)?;
        let mut words =
            (table.chunks_exact(2)).map(|word| usize::from(u16::from_le_bytes([word[0], word[1]])));
        let mut different = Vec::new();
        for _ in 0..words.next()? {
            let channels = words.next()?;
            let order: Order = words.by_ref().take(channels).collect();
            let mut found = vec![false; channels];
            for channel in &order {
                *found.get_mut(*channel)? = true;
            }
            (order.len() == channels && found.iter().all(|found| *found)).then_some(())?;
            different.push(order);
        }
        let tensors = words.collect();
        Some(Self { different, tensors })
    }

    /// For each place of a channel of a tensor, by its index in the image, which one of the ONNX file it is; `None` if
    /// they are in the file's order, as far as the image says.
    pub(crate) fn of_tensor(&self, tensor: usize) -> Option<&Order> {
        let number = *self.tensors.get(tensor)?;
        self.different.get(number.checked_sub(1)?)
    }
}
