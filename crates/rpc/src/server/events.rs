//! `GET /events?cursor=HEIGHT:ID&limit=N&wait=SECONDS&include=block,delta,receipts`: what joined and left the chain.
//!
//! The contract:
//! - every line is one JSON object; `event` is `connected` or `disconnected`, `height` and `id` name the block, `parent`
//!   the one before it, and `cursor` is where the consumer stands once it has processed the line;
//! - lines come in order, each at least once; asking again with a line's cursor acknowledges it and everything
//!   before it. The server keeps nothing per consumer: whoever stores the cursor together with its own work
//!   sees each event exactly once;
//! - after a reorganisation the blocks that left come first, the highest first, then those that joined. A cursor on
//!   a branch that was left stays good, also after a restart, as long as its block is stored;
//! - a block is shown once it would survive a power cut, so that no consumer ever stands on a block that is gone: at the end
//!   of the chain at once, while many blocks come in within half a minute;
//! - without `cursor` the stream starts at genesis;
//! - with `limit` one answer of at most so many lines (and, after the first, not much more than 4 MiB) comes back: at
//!   once if there are any, else after `wait` seconds (default 20, at most 60), perhaps empty. Without `limit` the stream goes on for ever; an empty line
//!   every 15 seconds shows that it lives. A line with `error` instead of `event` ends it.
//!
//! 400 is a malformed cursor or a parameter that does not exist, 404 an unknown cursor, 503 too many streams.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chainwright_chain::Notice;
use futures_channel::mpsc;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Shared;
use super::connection::{Body, queue_refusal, text, typed};
use super::health::{check_query, query_number, query_value};
use super::queue::QueueError;
use crate::probe::{EventDetail, EventLine, EventsError, Page};

const NDJSON: &str = "application/x-ndjson";
/// Lines of an endless stream read at a time.
const PAGE_LINES: usize = 100;
/// Bytes of lines after which a page ends.
const PAGE_BYTES: usize = 4 << 20;
/// Lines in one answer.
const LIMIT_MAX: u64 = 1000;
const WAIT_DEFAULT_SECONDS: u64 = 20;
const WAIT_MAX_SECONDS: u64 = 60;
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One consumer.
struct Consumer {
    shared: Arc<Shared>,
    cursor: Option<String>,
    detail: EventDetail,
    notices: mpsc::Receiver<Notice>,
}

enum Failure {
    Events(EventsError),
    Queue(QueueError),
}

/// Answers `GET /events`.
pub(super) async fn events(query: Option<&str>, shared: Arc<Shared>) -> Response<Body> {
    if let Err(message) = check_query(query, &["cursor", "limit", "wait", "include"]) {
        return text(StatusCode::BAD_REQUEST, &message);
    }
    let included = query_value(query, "include").unwrap_or_default();
    if let Some(unknown) = included.split(',').find(|part| !["", "block", "delta", "receipts"].contains(part))
    {
        let message = format!("{unknown:?} cannot be included; block, delta and receipts can\n");
        return text(StatusCode::BAD_REQUEST, &message);
    }
    let includes = |what: &str| included.split(',').any(|part| part == what);
    let limit = query_number(query, "limit", 0);
    let wait = query_number(query, "wait", WAIT_DEFAULT_SECONDS);
    let (limit, wait) = match (limit, wait) {
        (Ok(limit), Ok(wait)) => (limit, Duration::from_secs(wait.min(WAIT_MAX_SECONDS))),
        (Err(message), _) | (_, Err(message)) => return text(StatusCode::BAD_REQUEST, &message),
    };
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many event streams are open\n");
    };
    let mut consumer = Consumer {
        // Before the first look, so that nothing falls between looking and waiting.
        notices: shared.probe.subscribe(),
        cursor: query_value(query, "cursor").map(|cursor| cursor.replace("%3A", ":").replace("%3a", ":")),
        detail: EventDetail {
            block: includes("block"),
            delta: includes("delta"),
            receipts: includes("receipts"),
        },
        shared,
    };
    let lines = if limit == 0 { PAGE_LINES } else { limit.min(LIMIT_MAX) as usize };
    let first = match consumer.read(lines).await {
        Ok(first) => first,
        Err(failure) => return refusal(failure, &consumer.shared),
    };
    if limit == 0 {
        return stream(consumer, first, place);
    }
    match consumer.read_or_wait(first, lines, wait).await {
        Ok(lines) => typed(StatusCode::OK, NDJSON, joined(&lines)),
        Err(failure) => refusal(failure, &consumer.shared),
    }
}

fn refusal(failure: Failure, shared: &Shared) -> Response<Body> {
    let error = match failure {
        Failure::Queue(error) => return queue_refusal(error, shared),
        Failure::Events(error) => error,
    };
    let status = match error {
        EventsError::Malformed => StatusCode::BAD_REQUEST,
        EventsError::UnknownCursor(_) => StatusCode::NOT_FOUND,
        EventsError::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    typed(status, "application/json", format!("{}\n", json!({ "error": error.to_string() })))
}

fn joined(lines: &[EventLine]) -> String {
    lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
}

impl Consumer {
    async fn read(&mut self, lines: usize) -> Result<Vec<EventLine>, Failure> {
        let (shared, cursor, detail) = (Arc::clone(&self.shared), self.cursor.clone(), self.detail);
        let page = Page { lines, bytes: PAGE_BYTES };
        let work = move || shared.probe.events(cursor.as_deref(), page, detail);
        let lines = self.shared.queue.run(work).await.map_err(Failure::Queue)?.map_err(Failure::Events)?;
        if let Some(last) = lines.last() {
            self.cursor = Some(last.cursor.clone());
        }
        Ok(lines)
    }

    async fn read_or_wait(
        &mut self,
        first: Vec<EventLine>,
        page: usize,
        wait: Duration,
    ) -> Result<Vec<EventLine>, Failure> {
        let until = Instant::now() + wait;
        let mut lines = first;
        while lines.is_empty() && self.wait(until).await {
            lines = self.read(page).await?;
        }
        Ok(lines)
    }

    /// Waits until there may be more events; `false` when the time is over or the server stops.
    async fn wait(&mut self, until: Instant) -> bool {
        loop {
            let notice = tokio::select! {
                () = tokio::time::sleep_until(until) => return false,
                () = self.shared.stopped() => return false,
                notice = self.notices.next() => notice,
            };
            match notice {
                Some(Notice::Head(..) | Notice::Durable(..)) => return true,
                None | Some(Notice::Stopping) => return false,
                Some(_) => {}
            }
        }
    }
}

enum Stage {
    Send(Vec<EventLine>),
    Look,
    Ended,
}

fn stream(consumer: Consumer, first: Vec<EventLine>, place: OwnedSemaphorePermit) -> Response<Body> {
    let start = (consumer, Stage::Send(first), place);
    let chunks = futures_util::stream::unfold(start, |(mut consumer, stage, place)| async move {
        let (chunk, next) = match stage {
            Stage::Ended => return None,
            Stage::Send(lines) => (joined(&lines), Stage::Look),
            Stage::Look => look(&mut consumer).await,
        };
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(chunk))), (consumer, next, place)))
    });
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}

/// The next piece of an endless stream: lines, a sign of life, or the error that ends it.
async fn look(consumer: &mut Consumer) -> (String, Stage) {
    match consumer.read(PAGE_LINES).await {
        Ok(lines) if !lines.is_empty() => return (joined(&lines), Stage::Look),
        // A full queue is no reason to lose the stream: the sign of life goes out and the next look may succeed.
        Ok(_) | Err(Failure::Queue(QueueError::Full)) => {}
        Err(Failure::Queue(QueueError::Lost)) => return (String::new(), Stage::Ended),
        Err(Failure::Events(error)) => {
            return (format!("{}\n", json!({ "error": error.to_string() })), Stage::Ended);
        }
    }
    if consumer.wait(Instant::now() + HEARTBEAT).await {
        return (String::new(), Stage::Look);
    }
    let is_over = consumer.shared.stopping.load(std::sync::atomic::Ordering::Relaxed);
    ("\n".into(), if is_over { Stage::Ended } else { Stage::Look })
}
