//! What each layer gave on a board: written to files, and compared with the simulator.

use std::fs;
use std::path::PathBuf;

use fixpoint_protocol::host;
use fixpoint_quant::{Difference, Port as Converter, Simulator, TensorInfo};

use crate::failure::Failure;
use crate::files;
use crate::run::Args;
use crate::simulate;
use crate::terminal::note;

/// What is to become of the outputs of layers.
pub(crate) struct Trace<'a> {
    layers: &'a [host::Layer],
    dump: Option<PathBuf>,
    simulator: Option<Simulator>,
    /// Samples whose layers were compared, and the first difference, told.
    compared: usize,
    different: Option<String>,
}

impl<'a> Trace<'a> {
    /// `id` is that of the model on the board.
    pub(crate) fn new(args: &Args, id: u32, layers: &'a [host::Layer]) -> Result<Self, Failure> {
        let simulator = args.compare.as_deref().map(simulate::open).transpose()?;
        if let (Some(simulator), Some(path)) = (&simulator, &args.compare)
            && simulator.id() != id
        {
            return Err(Failure::new(format!(
                "the board runs model {id:08x}, {} is model {:08x}",
                path.display(),
                simulator.id()
            ))
            .help("flash that one with 'fixpoint flash --model', or compare with the one that is there"));
        }
        if let Some(folder) = &args.dump {
            fs::create_dir_all(folder).map_err(|e| Failure::io("create", folder, &e))?;
        }
        Ok(Trace {
            layers,
            dump: args.dump.clone(),
            simulator,
            compared: 0,
            different: None,
        })
    }

    /// Whether sample `number` is to be run layer by layer.
    pub(crate) fn wants(&self, number: usize) -> bool {
        (self.dump.is_some() && number == 0)
            || (self.simulator.is_some() && self.different.is_none())
    }

    /// Takes the layers' outputs of sample `number`, which had `inputs`; none if it was run as a whole.
    pub(crate) fn take(
        &mut self,
        number: usize,
        inputs: &[Vec<u8>],
        outputs: &[Vec<u8>],
    ) -> Result<(), Failure> {
        if outputs.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.dump.as_ref().filter(|_| number == 0) {
            let mut orders = match &self.simulator {
                Some(simulator) => simulator.layers()?.into_iter().map(|l| l.order).collect(),
                None => Vec::new(),
            };
            orders.resize(self.layers.len(), None);
            for (index, ((layer, bytes), order)) in
                self.layers.iter().zip(outputs).zip(orders).enumerate()
            {
                let raw = converter(layer, order.as_deref()).decode(bytes)?;
                let mut batch = simulate::empty(&raw, true);
                simulate::append(&mut batch, &raw);
                files::write_outputs(&folder.join(format!("{index:03}.npy")), &[batch])?;
            }
            let order = match self.simulator {
                Some(_) => "",
                None => {
                    ", channels as the board stores them ('--compare MODEL' puts them in the ONNX file's order)"
                }
            };
            note(&format!(
                "{} layers' outputs are in {}{order}",
                outputs.len(),
                folder.display()
            ));
        }
        let Some(simulator) = self.simulator.as_mut().filter(|_| self.different.is_none()) else {
            return Ok(());
        };
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected = simulator.layer_bytes(&inputs)?;
        self.compared += 1;
        for (index, (layer, (got, expected))) in (self.layers.iter())
            .zip(outputs.iter().zip(&expected))
            .enumerate()
        {
            let bits = 8 * u32::from(layer.element.bytes());
            let found = Difference::between(bits, got, expected);
            if found.differing > 0 {
                self.different = Some(format!(
                    "sample {number}: layer {index} ({}, {}) is the first that differs from the \
                     simulator: {} of {} elements, by up to {}",
                    layer.operator, layer.name, found.differing, found.elements, found.largest
                ));
                break;
            }
        }
        Ok(())
    }

    /// Tells what the comparison gave.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if let Some(different) = self.different {
            return Err(Failure::new(different)
                .help("flash the board again; if it stays, this is a bug worth reporting"));
        }
        if self.simulator.is_some() {
            println!(
                "all {} layers equal the simulator's, {} samples",
                self.layers.len(),
                self.compared
            );
        }
        Ok(())
    }
}

/// From a layer's bytes to integers: in ONNX order, or as stored where the firmware tells no dimensions.
fn converter(layer: &host::Layer, order: Option<&[usize]>) -> Converter {
    let width = u32::from(layer.element.bytes());
    let elements = (layer.dims.iter()).try_fold(1u32, |product, &dim| product.checked_mul(dim));
    let told = elements.and_then(|count| count.checked_mul(width)) == Some(layer.bytes)
        && (!layer.channels_last || matches!(layer.dims.len(), 3 | 4));
    let dims = match told {
        true => layer.dims.iter().map(|&dim| dim as usize).collect(),
        false => vec![(layer.bytes / width) as usize],
    };
    let info = TensorInfo {
        name: layer.name.clone(),
        dims,
        exponent: layer.exponent.into(),
        bits: 8 * width,
    };
    let converter = Converter::of(info, layer.channels_last && told);
    match order.filter(|_| told) {
        Some(order) => converter.ordered(order),
        None => converter,
    }
}
