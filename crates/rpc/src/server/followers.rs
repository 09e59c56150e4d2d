//! Telling dialects what happens.

use std::sync::Arc;

use chainwright_chain::Notice;
use futures_util::{FutureExt as _, StreamExt as _};

use super::Shared;
use crate::dialect::Follower;

/// Notices told at once.
const NOTICES_MAX: usize = 1024;

/// Tells one dialect of every notice until the chain or the server stops.
pub(super) async fn follow(mut follower: Follower, shared: Arc<Shared>) {
    let mut notices = shared.probe.subscribe();
    loop {
        let first = tokio::select! {
            () = shared.stopped() => return,
            notice = notices.next() => notice,
        };
        let Some(first) = first else { return };
        let mut batch = vec![first];
        while batch.len() < NOTICES_MAX
            && let Some(Some(notice)) = notices.next().now_or_never()
        {
            batch.push(notice);
        }
        let is_last = batch.contains(&Notice::Stopping);
        let told = tokio::task::spawn_blocking(move || {
            follower(&batch);
            follower
        });
        match told.await {
            Ok(back) if !is_last => follower = back,
            Ok(_) => return,
            Err(error) => return tracing::error!(%error, "a dialect's follower panicked; it hears no more"),
        }
    }
}
