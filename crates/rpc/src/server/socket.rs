//! WebSockets (RFC 6455): requests come as messages, answers and whatever dialects push go out through one queue.
//!
//! Invariants:
//! - so many calls at once per connection, then nothing more is read from it;
//! - what may wait for a slow consumer is bounded; whoever is too slow is disconnected.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, SplitSink};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use sha1::{Digest as _, Sha1};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::Shared;
use super::access::may_open_socket;
use super::connection::{Body, empty, text};
use crate::jsonrpc::Caller;
use crate::session::{Outgoing, Session};

/// Calls of one connection that run or wait at once.
const CALLS_MAX: usize = 8;
/// How often a sign of life is asked for; without one until the next time, the connection is given up.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection that is about to speak WebSocket.
pub(super) struct Opening {
    upgrade: OnUpgrade,
    caller: Caller,
    _place: OwnedSemaphorePermit,
}

/// Where the handler of a request leaves its connection's future.
pub(super) type Slot = Arc<Mutex<Option<Opening>>>;

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Whether a request wants to become a WebSocket.
pub(super) fn is_wanted<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), &UPGRADE, "websocket")
        && has_token(request.headers(), &CONNECTION, "upgrade")
}

/// Answers the handshake; the connection itself is left in the slot.
pub(super) fn open<B>(
    request: &mut Request<B>,
    caller: Caller,
    slot: &Slot,
    shared: &Shared,
) -> Response<Body> {
    if !may_open_socket(request, shared) {
        return text(StatusCode::FORBIDDEN, "this origin may not open a WebSocket here\n");
    }
    if !has_token(request.headers(), &SEC_WEBSOCKET_VERSION, "13") {
        let mut refusal = text(StatusCode::UPGRADE_REQUIRED, "WebSocket version 13 is spoken here\n");
        refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return refusal;
    }
    let Some(accept) = request.headers().get(SEC_WEBSOCKET_KEY).and_then(accept_key) else {
        return text(StatusCode::BAD_REQUEST, "the WebSocket key is missing or malformed\n");
    };
    let Ok(place) = Arc::clone(&shared.sockets).try_acquire_owned() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets are open\n");
    };
    *slot.lock() = Some(Opening { upgrade: hyper::upgrade::on(request), caller, _place: place });
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// RFC 6455 § 4.2.2: proof that the handshake was understood.
fn accept_key(key: &HeaderValue) -> Option<HeaderValue> {
    const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let base64 = base64::engine::general_purpose::STANDARD;
    let nonce = base64.decode(key.as_bytes()).ok()?;
    let proof = Sha1::new().chain_update(key.as_bytes()).chain_update(SUFFIX).finalize();
    (nonce.len() == 16).then(|| HeaderValue::from_str(&base64.encode(proof)).ok())?
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves one WebSocket to its end.
pub(super) async fn run(opening: Opening, peer: SocketAddr, shared: Arc<Shared>) {
    let upgraded = match opening.upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%peer, %error, "WebSocket was not opened"),
    };
    let limit = Some(shared.config.body_bytes_max);
    let config = WebSocketConfig::default()
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(16 << 10)
        .write_buffer_size(16 << 10);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let id = shared.next_session.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (session, outgoing) = Session::open(id);
    let caller = Caller { session: Some(session.clone()), ..opening.caller };
    serve(socket, caller, &session, outgoing, &shared).await;
    session.close();
    let told = tokio::task::spawn_blocking(move || {
        shared.dialects.iter().for_each(|dialect| dialect.closed(&session));
    });
    let _ = told.await;
}

async fn serve(
    socket: Socket,
    caller: Caller,
    session: &Session,
    outgoing: mpsc::Receiver<Outgoing>,
    shared: &Arc<Shared>,
) {
    let (sink, mut incoming) = socket.split();
    let writer = write(sink, session, outgoing, shared.config.request_timeout);
    tokio::pin!(writer);
    let mut calls = FuturesUnordered::new();
    let mut ping = tokio::time::interval(PING_INTERVAL);
    let mut was_heard = true;
    let farewell = loop {
        tokio::select! {
            () = shared.stopped() => break Some("the node stops"),
            () = session.closed() => break None,
            () = &mut writer => return,
            Some(()) = calls.next(), if !calls.is_empty() => {}
            _ = ping.tick() => {
                if !was_heard {
                    break Some("no sign of life");
                }
                was_heard = calls.len() == CALLS_MAX;
                session.send(Outgoing::Ping);
            }
            message = incoming.next(), if calls.len() < CALLS_MAX => {
                was_heard = true;
                match message {
                    Some(Ok(Message::Text(text))) => calls.push(answer(text.into(), caller.clone(), shared)),
                    Some(Ok(Message::Binary(bytes))) => calls.push(answer(bytes, caller.clone(), shared)),
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break Some(""),
                }
            }
        }
    };
    if let Some(reason) = farewell
        && session.send(Outgoing::Close(reason))
    {
        let _ = tokio::time::timeout(FAREWELL, writer).await;
    }
}

async fn answer(body: Bytes, caller: Caller, shared: &Arc<Shared>) {
    let Some(session) = caller.session.clone() else { return };
    let executor = Arc::clone(shared);
    let Ok((reply, after)) = shared.queue.run_in_turn(move || executor.executor.answer(&body, &caller)).await
    else {
        return session.close();
    };
    if let Some(json) = reply.body {
        session.reply(json).await;
    }
    for action in after {
        action();
    }
}

/// Writes whatever is in the queue until the connection breaks, is closed, or takes nothing for too long.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    session: &Session,
    mut outgoing: mpsc::Receiver<Outgoing>,
    patience: Duration,
) {
    while let Some(next) = outgoing.recv().await {
        let is_close = matches!(next, Outgoing::Close(_));
        let pushed = if let Outgoing::Push(text) = &next { text.len() } else { 0 };
        let message = match next {
            Outgoing::Reply(text) | Outgoing::Push(text) => Message::text(text),
            Outgoing::Ping => Message::Ping(Bytes::new()),
            Outgoing::Close(reason) => {
                Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: reason.into() }))
            }
        };
        let sent = tokio::time::timeout(patience, sink.send(message)).await;
        session.written(pushed);
        if is_close || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}
