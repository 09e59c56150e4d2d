//! Connections, and the way of a request: address, path, credentials, body, work.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::queue::QueueError;
use super::{STOP_GRACE, Shared, access, events, health, socket};
use crate::dialect::Style;
use crate::jsonrpc::Caller;

/// Whatever is sent back.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long to wait after the operating system refused a connection, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection beyond the limit waits for another one to end.
const PLACE_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of request headers.
const HEADERS_BYTES_MAX: usize = 8192;

/// Takes connections until the server stops, then waits for those that are open.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, connections: Arc<Semaphore>) {
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shared.stopped() => break,
            accepted = listener.accept() => accepted,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let place = Arc::clone(&connections).acquire_owned();
                // Meanwhile others wait where the operating system keeps them.
                let Ok(Ok(place)) = tokio::time::timeout(PLACE_PATIENCE, place).await else {
                    tracing::warn!(%peer, "too many RPC connections; one was closed");
                    continue;
                };
                let shared = Arc::clone(&shared);
                open.spawn(async move {
                    serve(stream, peer, shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an RPC connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let finished = async { while open.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_GRACE, finished).await;
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let slot = socket::Slot::default();
    let service = service_fn(|request| {
        let (shared, slot) = (Arc::clone(&shared), Arc::clone(&slot));
        async move {
            let origin = access::allowed_origin(&request, &shared);
            let mut response = route(request, peer, shared, &slot).await;
            if let Some(origin) = origin {
                access::add_origin(&mut response, origin);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.config.request_timeout)
        .max_buf_size(HEADERS_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shared.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "RPC connection ended");
    }
    let opening = slot.lock().take();
    if let Some(opening) = opening {
        socket::run(opening, peer, shared).await;
    }
}

async fn route(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    shared: Arc<Shared>,
    slot: &socket::Slot,
) -> Response<Body> {
    if !access::is_allowed(peer, &shared) {
        tracing::warn!(%peer, "RPC connection from an address that is not allowed");
        return empty(StatusCode::FORBIDDEN);
    }
    if shared.stopping.load(Ordering::Relaxed) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "Request rejected during server shutdown");
    }
    if request.method() == Method::OPTIONS && access::allowed_origin(&request, &shared).is_some() {
        return access::preflight();
    }
    let is_read = request.method() == Method::GET;
    match request.uri().path() {
        "/" if request.method() == Method::POST => call(request, peer, shared).await,
        "/" if is_read && socket::is_wanted(&request) => {
            match access::caller(&request, peer, &shared).await {
                Ok(caller) => socket::open(&mut request, caller, slot, &shared),
                Err(refusal) => refusal,
            }
        }
        "/" => wrong_method("POST", "JSONRPC server handles only POST requests"),
        "/health/live" if is_read => text(StatusCode::OK, "live\n"),
        "/health/ready" if is_read => health::ready(request.uri().query(), shared).await,
        "/metrics" if is_read => health::metrics(shared).await,
        "/events" if is_read => match access::caller(&request, peer, &shared).await {
            Ok(_) => events::events(request.uri().query(), shared).await,
            Err(refusal) => refusal,
        },
        "/health/live" | "/health/ready" | "/metrics" | "/events" => {
            wrong_method("GET", "this path is read with GET")
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

async fn call(request: Request<Incoming>, peer: SocketAddr, shared: Arc<Shared>) -> Response<Body> {
    let caller: Caller = match access::caller(&request, peer, &shared).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    // Clients of go-ethereum send what they have over as many connections as it takes, and expect answers to all.
    let in_turn = shared.executor.style == Style::JsonRpc2;
    let _waiting = if in_turn { room(&request, &shared).await } else { None };
    let body = match read_body(request, &shared).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let executor = Arc::clone(&shared);
    let work = move || executor.executor.answer(&body, &caller);
    let done = if in_turn { shared.queue.run_in_turn(work).await } else { shared.queue.run(work).await };
    let (reply, after) = match done {
        Ok(answered) => answered,
        Err(error) => return queue_refusal(error, &shared),
    };
    for action in after {
        action();
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match reply.body {
        Some(mut json) => {
            json.push('\n');
            typed(status, "application/json", json)
        }
        None => empty(status),
    }
}

/// Room for a request's body, once there is some; without a length it may be as long as any.
async fn room(request: &Request<Incoming>, shared: &Shared) -> Option<OwnedSemaphorePermit> {
    let limit = shared.config.body_bytes_max.min(shared.config.waiting_bytes_max);
    let length = request.body().size_hint().upper().and_then(|length| usize::try_from(length).ok());
    let wanted = length.unwrap_or(limit).min(limit);
    Arc::clone(&shared.waiting).acquire_many_owned(super::kibibytes(wanted)).await.ok()
}

async fn read_body(request: Request<Incoming>, shared: &Shared) -> Result<Bytes, Response<Body>> {
    let limit = shared.config.body_bytes_max;
    let too_large = || {
        let message = format!("the body is over the limit of {limit} bytes; split the batch\n");
        text(StatusCode::PAYLOAD_TOO_LARGE, &message)
    };
    if request.body().size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let reading = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(shared.config.request_timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(empty(StatusCode::BAD_REQUEST)),
        Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n")),
    }
}

/// What is said when the work queue did not do the work.
pub(super) fn queue_refusal(error: QueueError, shared: &Shared) -> Response<Body> {
    match error {
        QueueError::Full => {
            shared.metrics.refused.inc();
            tracing::warn!(
                "request rejected because http work queue depth exceeded, it can be increased with the -rpcworkqueue= setting"
            );
            text(StatusCode::SERVICE_UNAVAILABLE, "Work queue depth exceeded")
        }
        QueueError::Lost => {
            text(StatusCode::INTERNAL_SERVER_ERROR, "the request was given up; see the log\n")
        }
    }
}

fn wrong_method(allowed: &'static str, message: &str) -> Response<Body> {
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, message);
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refusal
}

/// A reply without body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A reply in plain words.
pub(super) fn text(status: StatusCode, message: &str) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", message.to_owned())
}

/// A reply of some content type.
pub(super) fn typed(status: StatusCode, kind: &'static str, content: String) -> Response<Body> {
    let mut response = Response::new(full(content.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn full(content: Bytes) -> Body {
    Full::new(content).boxed_unsync()
}
