//! The runtime behind the loader: the same server as in the firmware, on host memory.

use crate::nor::Nor;
use fixpoint_device::{Board, ErrorCode, Server, Version};
use fixpoint_runtime::{AlignedBytes, Model};
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Bytes for tensors: what the firmware's linker script guarantees to be left on the chip, so that
/// a model which runs here has room there.
pub const ARENA_BYTES: usize = 256 << 10;
/// Clock of the chip that this board stands for; it measures nothing here.
const CPU_HZ: u32 = 240_000_000;

#[derive(Default)]
struct Wire {
    from_host: Vec<u8>,
    to_host: Vec<u8>,
}

pub(crate) struct Application {
    wire: Rc<RefCell<Wire>>,
    // The server borrows the image and the arena; a future may hold all three.
    server: Pin<Box<dyn Future<Output = ()>>>,
}

impl Application {
    /// Takes the first model partition with a valid image, as the firmware does.
    pub(crate) fn start(nor: &Nor, models: &[(u32, u32)], log: &mut String) -> Self {
        let mut image = Err(ErrorCode::NoModelPartition);
        for &(offset, size) in models {
            let Some(bytes) = nor.get(offset, size) else {
                continue;
            };
            if bytes.iter().take(16).all(|&byte| byte == 0xFF) {
                image = image.map_err(|_| ErrorCode::ModelBlank);
                continue;
            }
            let bytes = AlignedBytes::new(bytes);
            let valid = Model::parse(bytes.as_ref()).is_ok();
            image = Ok(bytes);
            if valid {
                break;
            }
        }
        log.push_str(concat!(
            "\r\nFixpoint runtime ",
            env!("CARGO_PKG_VERSION"),
            " on a virtual board\r\n"
        ));
        let board = Board {
            chip: 9,
            firmware: version(),
            virtual_board: true,
            cpu_hz: CPU_HZ,
            flash_bytes: nor.bytes().len() as u32,
        };
        let wire = Rc::<RefCell<Wire>>::default();
        Self {
            server: Box::pin(serve(board, image, wire.clone())),
            wire,
        }
    }

    pub(crate) fn on_bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.wire.borrow_mut().from_host.extend_from_slice(bytes);
        let mut context = Context::from_waker(Waker::noop());
        // Never ready: it serves for ever.
        let _ = self.server.as_mut().poll(&mut context);
        out.append(&mut self.wire.borrow_mut().to_host);
    }
}

async fn serve(board: Board, image: Result<AlignedBytes, ErrorCode>, wire: Rc<RefCell<Wire>>) {
    let mut arena = AlignedBytes::zeroed(ARENA_BYTES);
    let image = image.as_ref().map(AsRef::as_ref).map_err(|&code| code);
    // No cycle-exact clock: every count is 0, and `Info` says that the board is virtual.
    let mut server = Server::new(board, image, arena.blocks_mut(), || 0);
    loop {
        let bytes = poll_fn(|_| {
            let bytes = std::mem::take(&mut wire.borrow_mut().from_host);
            if bytes.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(bytes)
            }
        })
        .await;
        let mut replies: Vec<u8> = Vec::new();
        server.on_bytes(&bytes, &mut replies);
        wire.borrow_mut().to_host.append(&mut replies);
    }
}

fn version() -> Version {
    let number = |text: &str| text.parse().unwrap_or(0);
    Version {
        major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: number(env!("CARGO_PKG_VERSION_MINOR")),
        patch: number(env!("CARGO_PKG_VERSION_PATCH")),
    }
}
