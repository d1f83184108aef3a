//! Requests about the model that runs: what it is, inputs in, layers run, bytes out.

use fixpoint_protocol::{
    Cycles, Dims, Direction, Element, ErrorCode, LayerInfo, MAX_CYCLES, MAX_DATA, Reply, Sink,
    TensorInfo,
};
use fixpoint_runtime::accelerator::Accelerator;
use fixpoint_runtime::{self as runtime, Model, Storage, run_to};

use super::{PROFILED_LAYERS, Refusal, Station, UnderWay, send, short};
use crate::run::{Clock, Meter};
use crate::text::Text;

/// What is read.
#[derive(Clone, Copy)]
pub(super) enum Piece {
    /// An output of the model.
    Output,
    /// The output of a layer.
    Layer,
}

impl<'a, C: Clock> Station<'a, C> {
    pub(super) fn describe(
        &self,
        direction: Direction,
        index: u16,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.model.as_ref().ok_or((ErrorCode::NoModel, 0))?;
        let at = usize::from(index);
        let (tensor, count) = match direction {
            Direction::Input => (model.inputs().nth(at), model.inputs().len()),
            Direction::Output => (model.outputs().nth(at), model.outputs().len()),
        };
        let tensor = tensor.ok_or((ErrorCode::NoSuchItem, u32::from(short(count))))?;
        let reply = Reply::Tensor(TensorInfo {
            index,
            element: element(tensor.element),
            exponent: tensor.exponent,
            channels_last: tensor.storage == Storage::ChannelsLast,
            bytes: tensor.bytes,
            dims: Dims::Values(tensor.dims()),
            name: tensor.name,
        });
        send(reply, sequence, sink);
        Ok(())
    }

    pub(super) fn describe_layer(
        &self,
        index: u16,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.model.as_ref().ok_or((ErrorCode::NoModel, 0))?;
        let none = (
            ErrorCode::NoSuchItem,
            u32::from(short(model.layers().len())),
        );
        let layer = model.layers().nth(usize::from(index)).ok_or(none)?;
        let output = model.tensor(layer.output).ok_or(none)?;
        let reply = Reply::Layer(LayerInfo {
            index,
            element: element(output.element),
            exponent: output.exponent,
            bytes: output.bytes,
            name: layer.name,
            operator: layer.operator,
            channels_last: output.storage == Storage::ChannelsLast,
            dims: Dims::Values(output.dims()),
        });
        send(reply, sequence, sink);
        Ok(())
    }

    /// Copies a piece into the arena; the number of bytes of that input staged afterwards.
    pub(super) fn stage(&mut self, input: u16, offset: u32, bytes: &[u8]) -> Result<u32, Refusal> {
        let model = self.runnable()?;
        let count = model.inputs().len();
        let tensor = model
            .inputs()
            .nth(usize::from(input))
            .ok_or((ErrorCode::NoSuchItem, u32::from(short(count))))?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = offset
            .checked_add(length)
            .filter(|&end| end <= tensor.bytes)
            .ok_or((ErrorCode::OutOfRange, tensor.bytes))?;
        let restart = input == 0 && offset == 0;
        let in_order = restart
            || input < self.next_input
            || (input == self.next_input && offset <= self.next_offset);
        if !in_order {
            let expected = if input == self.next_input {
                self.next_offset
            } else {
                0
            };
            return Err((ErrorCode::InputGap, expected));
        }
        let slice = (self.arena.tensor_mut(&tensor))
            .and_then(|memory| memory.get_mut(offset as usize..end as usize))
            .ok_or((ErrorCode::OutOfRange, tensor.bytes))?;
        slice.copy_from_slice(bytes);
        self.under_way = None;
        if restart {
            (self.next_input, self.next_offset) = (0, 0);
        }
        if input < self.next_input {
            return Ok(tensor.bytes);
        }
        self.next_offset = self.next_offset.max(end);
        let staged = self.next_offset;
        if staged == tensor.bytes {
            (self.next_input, self.next_offset) = (input + 1, 0);
        }
        Ok(staged)
    }

    pub(super) fn run(&mut self, sequence: u16, sink: &mut impl Sink) -> Result<(), Refusal> {
        let model = self.runnable()?;
        if let Some(done) = self.under_way.filter(|run| run.sequence == Some(sequence)) {
            send(done.result(), sequence, sink);
            return Ok(());
        }
        self.inputs_complete(&model)?;
        self.advance(
            &model,
            UnderWay::default(),
            model.layers().len(),
            sequence,
            sink,
        );
        if let Some(run) = &mut self.under_way {
            run.sequence = Some(sequence);
        }
        Ok(())
    }

    pub(super) fn step(
        &mut self,
        layer: u16,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.runnable()?;
        let (end, layers) = (usize::from(layer) + 1, model.layers().len());
        if end > layers {
            return Err((ErrorCode::NoSuchItem, u32::from(short(layers))));
        }
        match self.under_way {
            Some(run) if run.position.layer() > end => return Err((ErrorCode::InputMissing, 0)),
            Some(run) if run.position.layer() == end => send(run.result(), sequence, sink),
            Some(run) => self.advance(&model, run, end, sequence, sink),
            None => {
                self.inputs_complete(&model)?;
                self.advance(&model, UnderWay::default(), end, sequence, sink);
            }
        }
        Ok(())
    }

    fn inputs_complete(&self, model: &Model<'_>) -> Result<(), Refusal> {
        if usize::from(self.next_input) < model.inputs().len() {
            return Err((ErrorCode::InputMissing, u32::from(self.next_input)));
        }
        Ok(())
    }

    /// Executes layers from where `run` is up to `end` and answers.
    fn advance(
        &mut self,
        model: &Model<'a>,
        mut run: UnderWay,
        end: usize,
        sequence: u16,
        sink: &mut impl Sink,
    ) {
        self.under_way = None;
        // Whatever happens, the inputs are used up.
        (self.next_input, self.next_offset) = (0, 0);
        let layers = model.layers().len();
        let mut meter = Meter::start(
            &mut self.clock,
            sink,
            sequence,
            (run.layers(), run.cycles),
            short(layers),
            self.board.cpu_hz / 4,
            &mut self.layer_cycles[..layers.min(PROFILED_LAYERS)],
        );
        let accelerator: &mut dyn Accelerator = match &mut self.accelerator {
            Some(accelerator) => &mut **accelerator,
            None => &mut (),
        };
        let outcome = run_to(
            accelerator,
            model,
            &mut self.arena,
            &mut meter,
            run.position,
            end,
        );
        meter.lap();
        run.cycles = meter.total;
        match outcome {
            Ok(position) => {
                run.position = position;
                self.under_way = Some(run);
                send(run.result(), sequence, sink);
            }
            Err(error) => {
                let text = Text::of(&error);
                let reply = Reply::Error {
                    code: ErrorCode::RunFailed,
                    detail: 0,
                    text: text.as_str(),
                };
                send(reply, sequence, sink);
            }
        }
    }

    pub(super) fn profile(
        &self,
        first: u16,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let Some(run) = self.under_way else {
            return Err((ErrorCode::NoResult, 0));
        };
        let recorded = run.position.layer().min(PROFILED_LAYERS);
        let counts = self.layer_cycles[..recorded]
            .get(usize::from(first)..)
            .ok_or((ErrorCode::NoSuchItem, u32::from(short(recorded))))?;
        let reply = Reply::Profile {
            first,
            recorded: short(recorded),
            cycles: Cycles::Values(&counts[..counts.len().min(MAX_CYCLES)]),
        };
        send(reply, sequence, sink);
        Ok(())
    }

    /// Answers with `length` bytes from `offset` on.
    pub(super) fn read(
        &self,
        piece: Piece,
        index: u16,
        length: u16,
        offset: u32,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.runnable()?;
        let layers = model.layers().len();
        let at = usize::from(index);
        // What ran before the layer may have been overwritten.
        let (count, behind, tensor) = match piece {
            Piece::Output => (model.outputs().len(), layers, model.outputs().nth(at)),
            Piece::Layer => (layers, at + 1, model.layer_output(at)),
        };
        if at >= count {
            return Err((ErrorCode::NoSuchItem, u32::from(short(count))));
        }
        let there = (self.under_way).is_some_and(|run| run.position.layer() == behind);
        let whole = (tensor.as_ref().filter(|_| there))
            .and_then(|tensor| self.arena.tensor(tensor))
            .ok_or((ErrorCode::NoResult, 0))?;
        let out_of_range = (
            ErrorCode::OutOfRange,
            u32::try_from(whole.len()).unwrap_or(u32::MAX),
        );
        let start = usize::try_from(offset).map_err(|_| out_of_range)?;
        let bytes = start
            .checked_add(usize::from(length).min(MAX_DATA))
            .and_then(|end| whole.get(start..end))
            .ok_or(out_of_range)?;
        let reply = Reply::Output {
            output: index,
            offset,
            bytes,
        };
        send(reply, sequence, sink);
        Ok(())
    }
}

fn element(element: runtime::Element) -> Element {
    match element {
        runtime::Element::I8 => Element::I8,
        runtime::Element::I16 => Element::I16,
    }
}
