//! One connection: bytes in with credits, bytes out through a queue.
//!
//! ```text
//!   socket ─read, one credit each─► events ─► protocol ─► queue ─► socket
//!      ▲                                         │
//!      └──────────── credit, when it wants more ─┘
//! ```
//!
//! Invariant: a peer that is not listened to is not read from: at most [`CREDITS`] chunks of it wait in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chainwright_network::PeerId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Chunks read ahead of the protocol.
const CREDITS: usize = 2;
/// Bytes read at once.
const CHUNK: usize = 128 << 10;
/// How long what is still queued may take to leave after we have decided to close.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
/// The protocol is told when the bytes that wait cross this mark.
const WAITING_MARK: usize = 1 << 20;

/// What a connection tells.
#[derive(Debug)]
pub(super) enum SocketEvent {
    /// Bytes came in; costs a credit.
    Received(PeerId, Bytes),
    /// The queue has drained; look at [`Connection::waiting`].
    Drained(PeerId),
    /// Both directions are closed.
    Closed(PeerId),
}

/// Our end of a connection. Dropping it closes the socket once what is queued has left, or soon after.
#[derive(Debug)]
pub(super) struct Connection {
    queue: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    credits: Arc<Semaphore>,
    /// Credits kept back because the protocol did not want more bytes.
    owed: usize,
    _closing: oneshot::Sender<()>,
}

impl Connection {
    /// Starts to write, and to read once [`Connection::pay_credits`] is called. Needs a running runtime; `tell` is called from its threads.
    pub(super) fn start(
        peer: PeerId,
        socket: TcpStream,
        tell: impl Fn(SocketEvent) + Clone + Send + Sync + 'static,
    ) -> Self {
        let (queue, outgoing) = mpsc::unbounded_channel();
        let (closing, closed) = oneshot::channel::<()>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let credits = Arc::new(Semaphore::new(0));
        // Small messages must not wait for others; a socket that refuses the option works all the same.
        let _ = socket.set_nodelay(true);
        let (reading, writing) = socket.into_split();
        let read = read(peer, reading, Arc::clone(&credits), tell.clone());
        let write = write(peer, writing, outgoing, (Arc::clone(&waiting), tell.clone()));
        tokio::spawn(async move {
            let farewell = async {
                // The other end is never used: it is dropped when we close.
                let _ = closed.await;
                tokio::time::sleep(FAREWELL_LIMIT).await;
            };
            tokio::select! { () = read => {}, () = write => {}, () = farewell => {} }
            tell(SocketEvent::Closed(peer));
        });
        Self { queue, waiting, credits, owed: CREDITS, _closing: closing }
    }

    /// Queues bytes; `true` when the number of bytes that wait has crossed the mark.
    pub(super) fn send(&self, bytes: Bytes) -> bool {
        let length = bytes.len();
        let before = self.waiting.fetch_add(length, Ordering::Relaxed);
        // A queue without a reader belongs to a socket that has closed; that event is on its way.
        let _ = self.queue.send(bytes);
        before < WAITING_MARK && before + length >= WAITING_MARK
    }

    /// Bytes that wait to leave.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A chunk has been handled.
    pub(super) fn chunk_handled(&mut self) {
        self.owed += 1;
    }

    /// Lets the socket be read again, if something was kept back.
    pub(super) fn pay_credits(&mut self) {
        self.credits.add_permits(core::mem::take(&mut self.owed));
    }

    /// Whether something is kept back.
    pub(super) fn is_held_back(&self) -> bool {
        self.owed > 0
    }
}

async fn read(peer: PeerId, mut socket: OwnedReadHalf, credits: Arc<Semaphore>, tell: impl Fn(SocketEvent)) {
    let mut buffer = BytesMut::new();
    loop {
        let Ok(credit) = credits.acquire().await else { return };
        credit.forget();
        buffer.reserve(CHUNK);
        match socket.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => tell(SocketEvent::Received(peer, buffer.split().freeze())),
        }
    }
}

async fn write(
    peer: PeerId,
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    (waiting, tell): (Arc<AtomicUsize>, impl Fn(SocketEvent)),
) {
    while let Some(bytes) = queue.recv().await {
        if socket.write_all(&bytes).await.is_err() {
            return;
        }
        let before = waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        let left = before - bytes.len();
        if left == 0 || (before >= WAITING_MARK && left < WAITING_MARK) {
            tell(SocketEvent::Drained(peer));
        }
    }
    let _ = socket.shutdown().await;
}
