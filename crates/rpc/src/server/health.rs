//! `/health/ready`, `/metrics`, and counting reorganisations.

use std::sync::Arc;

use chainwright_chain::Notice;
use futures_util::StreamExt as _;
use hyper::{Response, StatusCode};
use serde_json::json;

use super::Shared;
use super::connection::{Body, queue_refusal, text, typed};

/// How long looking at the chain and the peers may take before a node counts as not ready.
const LOOK_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Query parameters; the first of a name counts. Values are plain: no value of ours needs escaping.
pub(super) fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Refuses a query that says something nobody would read: a typing error must not look like an answer.
pub(super) fn check_query(query: Option<&str>, known: &[&str]) -> Result<(), String> {
    let keys = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    let mut keys = keys.map(|part| part.split_once('=').map_or(part, |(key, _)| key));
    match keys.find(|key| !known.contains(key)) {
        Some(unknown) => Err(format!("there is no parameter {unknown:?}; known: {}\n", known.join(", "))),
        None => Ok(()),
    }
}

/// A number in the query, or a default.
pub(super) fn query_number(query: Option<&str>, name: &str, default: u64) -> Result<u64, String> {
    let Some(value) = query_value(query, name) else { return Ok(default) };
    value.parse().map_err(|_| format!("{name} must be a whole number\n"))
}

/// 200 when the chain runs and at most `max_blocks_behind` (default 2) bodies are missing, else 503; the body says why.
/// Figures are looked up on a thread that may block, and beside the queue of calls: a busy node is ready all the same.
pub(super) async fn ready(query: Option<&str>, shared: Arc<Shared>) -> Response<Body> {
    let known = check_query(query, &["max_blocks_behind"]);
    let allowed = match known.and_then(|()| query_number(query, "max_blocks_behind", 2)) {
        Ok(allowed) => allowed,
        Err(message) => return text(StatusCode::BAD_REQUEST, &message),
    };
    let Ok(place) = Arc::clone(&shared.looks).try_acquire_owned() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the node does not answer earlier questions either\n");
    };
    let look = tokio::task::spawn_blocking(move || {
        let _place = place;
        (shared.probe.figures(), shared.host.peers().len())
    });
    let Ok(Ok((figures, peers))) = tokio::time::timeout(LOOK_MAX, look).await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the node does not answer\n");
    };
    let behind = figures.best_header.above(figures.head.height);
    let is_ready = figures.fault.is_none() && u64::from(behind) <= allowed;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": is_ready,
        "height": figures.head.height.0,
        "headers": figures.best_header.0,
        "blocks_behind": behind,
        "peers": peers,
        "fault": figures.fault,
    });
    typed(status, "application/json", format!("{body}\n"))
}

/// Prometheus' text format.
pub(super) async fn metrics(shared: Arc<Shared>) -> Response<Body> {
    let reader = Arc::clone(&shared);
    let work = move || reader.metrics.text(reader.probe.as_ref(), reader.host.as_ref());
    match shared.queue.run(work).await {
        Ok(Ok(metrics)) => typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => queue_refusal(error, &shared),
    }
}

/// Counts how often a block that was the head has left the chain.
pub(super) async fn count_reorganisations(shared: Arc<Shared>) {
    let mut notices = shared.probe.subscribe();
    let mut last = None;
    loop {
        let notice = tokio::select! {
            () = shared.stopped() => return,
            notice = notices.next() => notice,
        };
        match notice {
            None | Some(Notice::Stopping) => return,
            Some(Notice::Head(id, _)) => {
                if last.is_some_and(|last| !shared.probe.is_active(&last)) {
                    shared.metrics.reorganisations.inc();
                }
                last = Some(id);
            }
            Some(_) => {}
        }
    }
}
