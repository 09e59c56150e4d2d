//! A connection that takes messages nobody asked for: a WebSocket, seen by a dialect.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// Messages that may wait for a slow consumer.
pub(crate) const WAITING_MAX: usize = 4096;
/// Bytes of pushed messages that may wait for a slow consumer.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// The connection is gone: whoever pushes into it forgets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct SessionClosed;

/// What waits to be written.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The answer to a call.
    Reply(String),
    /// What a dialect pushed.
    Push(String),
    /// A sign of life.
    Ping,
    /// Why the server closes the connection.
    Close(&'static str),
}

struct Inner {
    id: u64,
    queue: mpsc::Sender<Outgoing>,
    waiting_bytes: AtomicUsize,
    closed: watch::Sender<bool>,
}

/// One connection. Copies speak of the same one.
///
/// Messages arrive in the order they were pushed. A consumer that lets 4,096 messages or 16 MiB wait is
/// disconnected; nothing is dropped in between.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

impl Session {
    /// A session and the messages pushed into it.
    pub(crate) fn open(id: u64) -> (Self, mpsc::Receiver<Outgoing>) {
        let (queue, outgoing) = mpsc::channel(WAITING_MAX);
        let closed = watch::Sender::new(false);
        (Self(Arc::new(Inner { id, queue, waiting_bytes: AtomicUsize::new(0), closed })), outgoing)
    }

    /// Its number, never used twice while the server runs.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Sends a text message; returns at once.
    ///
    /// # Errors
    /// [`SessionClosed`] when the connection is gone, or is given up now because its consumer is too slow.
    pub fn push(&self, text: String) -> Result<(), SessionClosed> {
        let length = text.len();
        let waiting = self.0.waiting_bytes.fetch_add(length, Ordering::Relaxed) + length;
        if !self.is_closed() && waiting <= WAITING_BYTES_MAX && self.send(Outgoing::Push(text)) {
            return Ok(());
        }
        self.close();
        Err(SessionClosed)
    }

    /// Sends a JSON-RPC 2.0 notification; returns at once.
    ///
    /// # Errors
    /// As [`Session::push`].
    pub fn notify(&self, method: &str, params: Value) -> Result<(), SessionClosed> {
        self.push(json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string())
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    /// Gives the connection up.
    pub fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// Resolves once the connection is given up.
    pub(crate) async fn closed(&self) {
        let _ = self.0.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Puts the answer to a call into the queue, once there is a place.
    pub(crate) async fn reply(&self, text: String) {
        let _ = self.0.queue.send(Outgoing::Reply(text)).await;
    }

    /// Puts something into the queue if there is a place.
    pub(crate) fn send(&self, outgoing: Outgoing) -> bool {
        self.0.queue.try_send(outgoing).is_ok()
    }

    /// A pushed message has been written.
    pub(crate) fn written(&self, bytes: usize) {
        self.0.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_given_up_when_too_many_messages_wait() {
        let (session, outgoing) = Session::open(1);
        for _ in 0..WAITING_MAX {
            assert_eq!(session.push(String::new()), Ok(()));
        }
        assert!(!session.is_closed());
        assert_eq!(session.push(String::new()), Err(SessionClosed));
        assert!(session.is_closed());
        drop(outgoing);
    }

    #[test]
    fn a_session_is_given_up_when_too_many_bytes_wait() {
        let (session, mut outgoing) = Session::open(1);
        let half = "a".repeat(WAITING_BYTES_MAX / 2);
        for _ in 0..4 {
            assert_eq!(session.push(half.clone()), Ok(()), "written bytes make room");
            assert!(matches!(outgoing.try_recv(), Ok(Outgoing::Push(_))));
            session.written(half.len());
        }
        assert_eq!(session.push(half.clone()), Ok(()));
        assert_eq!(session.push(half.clone()), Ok(()));
        assert_eq!(session.push("a".into()), Err(SessionClosed));
    }
}
