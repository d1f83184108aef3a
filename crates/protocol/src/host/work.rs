//! What a job asks next, and what it makes of the replies.

use std::string::String;
use std::vec::Vec;

use crate::{Direction, ErrorCode, Info, MAX_DATA, Reply, Request};

use super::client::Event;
use super::error::LinkError;
use super::job::{Board, Inference, Layer, Model, Problem, Tensor};
use super::update::Update;

/// What a reply led to.
pub(super) enum Next {
    /// There is another request to send.
    Request,
    /// The same, and something to tell.
    Tell(Event),
    /// The job is done.
    Finished(Event),
}

pub(super) enum Work {
    Hello,
    Tensors {
        board: Board,
        model: Model,
        inputs: u16,
        outputs: u16,
    },
    Layers {
        count: u16,
        layers: Vec<Layer>,
    },
    Infer(Infer),
    Update(Update),
}

pub(super) struct Infer {
    inputs: Vec<Vec<u8>>,
    output_bytes: Vec<u32>,
    /// Sizes of the layers' outputs, when those are wanted.
    layer_bytes: Vec<u32>,
    /// Layers whose outputs are here, and what is here of the next one.
    layers_read: u16,
    layer: Vec<u8>,
    stage: Stage,
    restarts: u32,
    result: Inference,
}

#[derive(Clone, Copy)]
enum Stage {
    Write { input: u16, offset: u32 },
    Run,
    Step,
    ReadLayer,
    Read { output: u16 },
    Profile,
}

impl Work {
    pub(super) fn connect() -> Self {
        Work::Hello
    }

    pub(super) fn layers(count: u16) -> Self {
        Work::Layers {
            count,
            layers: Vec::new(),
        }
    }

    pub(super) fn infer(
        model: &Model,
        inputs: Vec<Vec<u8>>,
        restarts: u32,
    ) -> Result<Self, LinkError> {
        if inputs.len() != model.inputs.len() {
            return Err(LinkError::InputCount {
                expected: model.inputs.len(),
                given: inputs.len(),
            });
        }
        for (input, (bytes, tensor)) in inputs.iter().zip(&model.inputs).enumerate() {
            if usize::try_from(tensor.bytes) != Ok(bytes.len()) {
                return Err(LinkError::InputSize {
                    input,
                    expected: tensor.bytes,
                    given: bytes.len(),
                });
            }
        }
        Ok(Work::Infer(Infer {
            inputs,
            output_bytes: model.outputs.iter().map(|tensor| tensor.bytes).collect(),
            layer_bytes: Vec::new(),
            layers_read: 0,
            layer: Vec::new(),
            stage: Stage::Write {
                input: 0,
                offset: 0,
            },
            restarts,
            result: nothing(),
        }))
    }

    pub(super) fn trace(
        model: &Model,
        inputs: Vec<Vec<u8>>,
        layer_bytes: Vec<u32>,
        restarts: u32,
    ) -> Result<Self, LinkError> {
        if layer_bytes.len() != usize::from(model.layers) {
            return Err(wrong("another number of layers"));
        }
        let mut work = Self::infer(model, inputs, restarts)?;
        if let Work::Infer(infer) = &mut work {
            infer.layer_bytes = layer_bytes;
        }
        Ok(work)
    }

    pub(super) fn connecting(&self) -> bool {
        matches!(self, Work::Hello)
    }

    /// For the sentence "The board stopped answering ...".
    pub(super) fn during(&self) -> &'static str {
        match self {
            Work::Hello => "while connecting",
            Work::Tensors { .. } => "while it described its model",
            Work::Layers { .. } => "while it described its layers",
            Work::Infer(infer) => match infer.stage {
                Stage::Write { .. } => "while it was given the input",
                Stage::Run | Stage::Step => "while it ran the model",
                Stage::ReadLayer => "while the output of a layer was read",
                Stage::Read { .. } => "while the output was read",
                Stage::Profile => "while the cycle counts were read",
            },
            Work::Update(update) => update.during(),
        }
    }

    pub(super) fn request(&self) -> Request<'_> {
        match self {
            Work::Hello => Request::Hello,
            Work::Tensors { model, inputs, .. } => {
                let (described, direction) = match u16::try_from(model.inputs.len()) {
                    Ok(done) if done < *inputs => (model.inputs.len(), Direction::Input),
                    _ => (model.outputs.len(), Direction::Output),
                };
                Request::Tensor {
                    direction,
                    index: described as u16,
                }
            }
            Work::Layers { layers, .. } => Request::Layer {
                index: layers.len() as u16,
            },
            Work::Infer(infer) => infer.request(),
            Work::Update(update) => update.request(),
        }
    }

    pub(super) fn on_reply(&mut self, reply: &Reply<'_>) -> Result<Next, LinkError> {
        match self {
            Work::Infer(infer) => return infer.on_reply(reply),
            Work::Update(update) => return update.on_reply(reply),
            _ => {}
        }
        if let Reply::Error { code, detail, text } = *reply {
            return Err(refused(code, detail, text));
        }
        match (&mut *self, reply) {
            (Work::Hello, Reply::Info(info)) => {
                let board = board(info);
                let Ok(model) = board.model.clone() else {
                    return Ok(Next::Finished(Event::Connected(board)));
                };
                if info.inputs == 0 || info.outputs == 0 {
                    return Err(wrong("a model without inputs or outputs"));
                }
                *self = Work::Tensors {
                    board,
                    model,
                    inputs: info.inputs,
                    outputs: info.outputs,
                };
                Ok(Next::Request)
            }
            (
                Work::Tensors {
                    board,
                    model,
                    inputs,
                    outputs,
                },
                Reply::Tensor(tensor),
            ) => {
                let (list, wanted) = if model.inputs.len() < usize::from(*inputs) {
                    (&mut model.inputs, *inputs)
                } else {
                    (&mut model.outputs, *outputs)
                };
                if usize::from(tensor.index) != list.len() || tensor.index >= wanted {
                    return Err(wrong("a tensor that was not asked for"));
                }
                list.push(Tensor::from(*tensor));
                if model.outputs.len() < usize::from(*outputs) {
                    return Ok(Next::Request);
                }
                let mut board = board.clone();
                board.model = Ok(model.clone());
                Ok(Next::Finished(Event::Connected(board)))
            }
            (Work::Layers { count, layers }, Reply::Layer(layer)) => {
                if usize::from(layer.index) != layers.len() {
                    return Err(wrong("a layer that was not asked for"));
                }
                layers.push(Layer::from(*layer));
                if layers.len() < usize::from(*count) {
                    return Ok(Next::Request);
                }
                Ok(Next::Finished(Event::Layers(core::mem::take(layers))))
            }
            _ => Err(wrong("another kind of message")),
        }
    }
}

impl Infer {
    fn request(&self) -> Request<'_> {
        match self.stage {
            Stage::Write { input, offset } => {
                let bytes = &self.inputs[usize::from(input)];
                let start = offset as usize;
                Request::WriteInput {
                    input,
                    offset,
                    bytes: &bytes[start..bytes.len().min(start + MAX_DATA)],
                }
            }
            Stage::Run => Request::Run { options: 0 },
            Stage::Step => Request::Step {
                layer: self.layers_read,
            },
            Stage::ReadLayer => {
                let whole = self.layer_bytes[usize::from(self.layers_read)] as usize;
                Request::ReadLayer {
                    layer: self.layers_read,
                    length: (whole - self.layer.len()).min(MAX_DATA) as u16,
                    offset: self.layer.len() as u32,
                }
            }
            Stage::Read { output } => {
                let have = self.result.outputs[usize::from(output)].len();
                let missing = self.output_bytes[usize::from(output)] as usize - have;
                Request::ReadOutput {
                    output,
                    length: missing.min(MAX_DATA) as u16,
                    offset: have as u32,
                }
            }
            Stage::Profile => Request::Profile {
                first: self.result.layer_cycles.len() as u16,
            },
        }
    }

    fn on_reply(&mut self, reply: &Reply<'_>) -> Result<Next, LinkError> {
        match (self.stage, *reply) {
            (_, Reply::Error { code, detail, text }) => {
                return self.on_error(code, detail, text);
            }
            (Stage::Write { input, offset }, Reply::Ack { .. }) => {
                let bytes = self.inputs[usize::from(input)].len();
                let next = offset as usize + MAX_DATA;
                self.stage = if next < bytes {
                    Stage::Write {
                        input,
                        offset: next as u32,
                    }
                } else if usize::from(input) + 1 < self.inputs.len() {
                    Stage::Write {
                        input: input + 1,
                        offset: 0,
                    }
                } else {
                    self.execute()
                };
            }
            (Stage::Run | Stage::Step, Reply::Result { cycles, layers }) => {
                self.result = Inference {
                    cycles,
                    layers,
                    outputs: self.output_bytes.iter().map(|_| Vec::new()).collect(),
                    ..nothing()
                };
                self.layer.clear();
                self.stage = match self.stage {
                    Stage::Step => Stage::ReadLayer,
                    _ => Stage::Read { output: 0 },
                };
            }
            (
                Stage::ReadLayer,
                Reply::Output {
                    output: from,
                    offset,
                    bytes,
                },
            ) => {
                let layer = self.layers_read;
                let whole = self.layer_bytes[usize::from(layer)] as usize;
                let fits = self.layer.len() + bytes.len() <= whole && !bytes.is_empty();
                if from != layer || offset as usize != self.layer.len() || !fits {
                    return Err(wrong("a piece of a layer's output that was not asked for"));
                }
                self.layer.extend_from_slice(bytes);
                if self.layer.len() == whole {
                    self.layers_read += 1;
                    self.stage = match usize::from(self.layers_read) < self.layer_bytes.len() {
                        true => Stage::Step,
                        false => Stage::Read { output: 0 },
                    };
                    let bytes = core::mem::take(&mut self.layer);
                    return Ok(Next::Tell(Event::LayerOutput { layer, bytes }));
                }
            }
            (
                Stage::Read { output },
                Reply::Output {
                    output: from,
                    offset,
                    bytes,
                },
            ) => {
                let whole = self.output_bytes[usize::from(output)] as usize;
                let have = &mut self.result.outputs[usize::from(output)];
                let fits = have.len() + bytes.len() <= whole && (!bytes.is_empty() || whole == 0);
                if from != output || offset as usize != have.len() || !fits {
                    return Err(wrong("a piece of output that was not asked for"));
                }
                have.extend_from_slice(bytes);
                if have.len() == whole {
                    self.stage = match usize::from(output) + 1 < self.output_bytes.len() {
                        true => Stage::Read { output: output + 1 },
                        false if self.result.layers == 0 => return Ok(self.finish()),
                        false => Stage::Profile,
                    };
                }
            }
            (
                Stage::Profile,
                Reply::Profile {
                    first,
                    recorded,
                    cycles,
                },
            ) => {
                let counts = &mut self.result.layer_cycles;
                let before = counts.len();
                counts.extend(cycles.iter());
                let goes_on = counts.len() < usize::from(recorded);
                if usize::from(first) != before
                    || counts.len() > usize::from(recorded)
                    || recorded > self.result.layers
                    || (goes_on && counts.len() == before)
                {
                    return Err(wrong("cycle counts that were not asked for"));
                }
                if !goes_on {
                    return Ok(self.finish());
                }
            }
            _ => return Err(wrong("another kind of message")),
        }
        Ok(Next::Request)
    }

    /// What comes when the inputs are there. After a restart of the board the layers that were read go
    /// by again unread.
    fn execute(&self) -> Stage {
        match usize::from(self.layers_read) < self.layer_bytes.len() {
            true => Stage::Step,
            false => Stage::Run,
        }
    }

    /// A board that restarted knows nothing of the inputs it was given: begin again.
    fn on_error(&mut self, code: ErrorCode, detail: u32, text: &str) -> Result<Next, LinkError> {
        let forgot = matches!(
            code,
            ErrorCode::InputGap | ErrorCode::InputMissing | ErrorCode::NoResult
        );
        if !forgot {
            return Err(refused(code, detail, text));
        }
        if self.restarts == 0 {
            return Err(LinkError::Restarting {
                during: "while it ran the model",
            });
        }
        self.restarts -= 1;
        self.stage = Stage::Write {
            input: 0,
            offset: 0,
        };
        Ok(Next::Request)
    }

    fn finish(&mut self) -> Next {
        let result = core::mem::replace(&mut self.result, nothing());
        Next::Finished(Event::Inference(result))
    }
}

fn nothing() -> Inference {
    Inference {
        outputs: Vec::new(),
        cycles: 0,
        layer_cycles: Vec::new(),
        layers: 0,
    }
}

pub(super) fn refused(code: ErrorCode, detail: u32, text: &str) -> LinkError {
    if code == ErrorCode::OtherVersion {
        return LinkError::OtherVersion {
            board: u8::try_from(detail).unwrap_or(u8::MAX),
        };
    }
    LinkError::Refused {
        code,
        detail,
        text: String::from(text),
    }
}

pub(super) fn wrong(what: &'static str) -> LinkError {
    LinkError::WrongReply { what }
}

fn board(info: &Info<'_>) -> Board {
    Board {
        chip: info.chip,
        firmware: info.firmware,
        virtual_board: info.virtual_board,
        cpu_hz: info.cpu_hz,
        flash_bytes: info.flash_bytes,
        arena_available: info.arena_available,
        frames_dropped: info.frames_dropped,
        runtime_id: info.runtime_id,
        model_room: info.model_room,
        cores: info.cores,
        psram_bytes: info.psram_bytes,
        psram_available: info.psram_available,
        constants: info.constants,
        model: match Problem::of(info) {
            Some(problem) => Err(problem),
            None => Ok(Model {
                id: info.model_id,
                name: info.model_name.into(),
                bytes: info.model_bytes,
                arena_needed: info.arena_needed,
                layers: info.layers,
                inputs: Vec::new(),
                outputs: Vec::new(),
            }),
        },
    }
}
