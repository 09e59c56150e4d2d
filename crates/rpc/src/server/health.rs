//! `/health/ready`, `/metrics`, and counting reorganisations.

use std::sync::Arc;

use chainwright_chain::Notice;
use futures_util::StreamExt as _;
use hyper::{Response, StatusCode};
use serde_json::json;

use super::Shared;
use super::connection::{Body, queue_refusal, text, typed};

/// Query parameters; the first of a name counts. Values are plain: no value of ours needs escaping.
pub(super) fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A number in the query, or a default.
pub(super) fn query_number(query: Option<&str>, name: &str, default: u64) -> Result<u64, String> {
    let Some(value) = query_value(query, name) else { return Ok(default) };
    value.parse().map_err(|_| format!("{name} must be a whole number\n"))
}

/// 200 when the chain runs and at most `max_blocks_behind` (default 2) bodies are missing, else 503; the body says why.
pub(super) fn ready(query: Option<&str>, shared: &Shared) -> Response<Body> {
    let allowed = match query_number(query, "max_blocks_behind", 2) {
        Ok(allowed) => allowed,
        Err(message) => return text(StatusCode::BAD_REQUEST, &message),
    };
    let figures = shared.probe.figures();
    let behind = figures.best_header.above(figures.head.height);
    let is_ready = figures.fault.is_none() && u64::from(behind) <= allowed;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": is_ready,
        "height": figures.head.height.0,
        "headers": figures.best_header.0,
        "blocks_behind": behind,
        "peers": shared.host.peers().len(),
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
