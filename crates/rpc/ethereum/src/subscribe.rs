//! What is pushed over WebSockets: new heads, logs, receipts, transactions of the pool, beginning and end of catching up.
//!
//! A follower stands at the head it told last. When the head moves it walks down to the fork (logs of what left the chain are
//! told again as removed) and up to the new head.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log};
use chainwright_chain::{Headers, Notice};
use chainwright_evm::Evm;
use chainwright_rpc::{RpcError, Session};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::dialect::Context;
use crate::filters::LIMIT_EXCEEDED;
use crate::methods::{block_receipts, syncing};
use crate::shape;

/// Subscriptions one connection may have at a time.
const OWN_MAX: usize = 100;
/// Subscriptions of all connections at a time.
const ALL_MAX: usize = 10_000;
/// Addresses, topics and hashes that all subscriptions may name together: some 64 MiB.
const NAMES_MAX: usize = 1_000_000;

/// What a subscriber wants to hear of.
pub(crate) enum Topic {
    /// Headers of blocks that join the chain.
    Heads,
    /// Logs that fit.
    Logs(Box<Filter>),
    /// Hashes of transactions the pool took.
    Pending,
    /// The same, whole.
    PendingWhole,
    /// Receipts of the transactions of blocks that join the chain: of these, or of all where none is named.
    Receipts(Vec<B256>),
    /// Beginning and end of catching up.
    Syncing,
}

impl Topic {
    /// How many addresses, topics and hashes it names.
    fn names(&self) -> usize {
        match self {
            Self::Logs(filter) => {
                filter.address.iter().count()
                    + filter.topics.iter().map(|topic| topic.iter().count()).sum::<usize>()
            }
            Self::Receipts(hashes) => hashes.len(),
            _ => 0,
        }
    }
}

struct Subscription {
    id: String,
    session: Session,
    topic: Topic,
    names: usize,
    /// Whether the subscriber knows the id, so that it can be told.
    has_begun: bool,
}

impl Subscription {
    /// Whether the subscriber is still there.
    fn tell(&self, result: &Value) -> bool {
        let message = json!({ "subscription": self.id, "result": result });
        self.session.notify("eth_subscription", message).is_ok()
    }
}

#[derive(Default)]
struct Inner {
    count: u64,
    active: Vec<Subscription>,
}

/// All subscriptions of all connections.
#[derive(Default)]
pub(crate) struct Subscriptions(Mutex<Inner>);

impl Subscriptions {
    /// Makes room for a subscription, and gives its id. Nothing is told before [`Subscriptions::begin`].
    ///
    /// # Errors
    /// When the connection, or all of them together, have too many.
    pub(crate) fn add(&self, session: Session, topic: Topic) -> Result<String, RpcError> {
        let mut inner = self.0.lock();
        inner.active.retain(|it| !it.session.is_closed());
        let own = inner.active.iter().filter(|it| it.session.id() == session.id()).count();
        let names = topic.names();
        let named: usize = inner.active.iter().map(|it| it.names).sum();
        let refused = |words: String| Err(RpcError::new(LIMIT_EXCEEDED, words));
        if own >= OWN_MAX {
            return refused(format!("too many subscriptions (at most {OWN_MAX} per connection); end some"));
        }
        if inner.active.len() >= ALL_MAX || named.saturating_add(names) > NAMES_MAX {
            return refused("too many subscriptions of all connections; try again later".to_owned());
        }
        inner.count += 1;
        let id = format!("{:#x}", inner.count);
        inner.active.push(Subscription { id: id.clone(), session, topic, names, has_begun: false });
        Ok(id)
    }

    /// Begins to tell, and tells `first` at once; to be called once the reply with the id is on its way.
    pub(crate) fn begin(&self, id: &str, first: Option<&Value>) {
        if let Some(subscription) = self.0.lock().active.iter_mut().find(|it| it.id == id) {
            // Whoever is gone is forgotten with the next message.
            subscription.has_begun = first.is_none_or(|first| subscription.tell(first));
        }
    }

    /// Whether there was such a subscription of that connection.
    pub(crate) fn remove(&self, id: &str, session: &Session) -> bool {
        let active = &mut self.0.lock().active;
        let before = active.len();
        active.retain(|it| it.id != id || it.session.id() != session.id());
        active.len() < before
    }

    /// Forgets a connection.
    pub(crate) fn close(&self, session: &Session) {
        self.0.lock().active.retain(|it| it.session.id() != session.id());
    }

    fn is_empty(&self) -> bool {
        self.0.lock().active.is_empty()
    }

    /// Tells every subscriber what is made for its topic; who is gone is forgotten.
    fn tell(&self, make: impl Fn(&Topic) -> Vec<Value>) {
        self.0.lock().active.retain(|it| {
            !it.session.is_closed() && (!it.has_begun || make(&it.topic).iter().all(|result| it.tell(result)))
        });
    }
}

/// What a subscriber to the progress of catching up is told (geth, `eth/downloader` `SyncingResult`).
pub(crate) fn sync_status(progress: Value) -> Value {
    match progress {
        Value::Bool(_) => progress,
        status => json!({ "syncing": true, "status": status }),
    }
}

/// Follows the chain for all subscribers.
pub(crate) struct Teller {
    context: Arc<Context>,
    at: Headers<Evm>,
    is_syncing: bool,
}

impl Teller {
    /// Stands at the head.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let at = context.chain.published().head().headers;
        Self { context, at, is_syncing: false }
    }

    /// Tells what happened.
    pub(crate) fn hear(&mut self, notices: &[Notice]) {
        let pooled = notices.iter().filter_map(|notice| match notice {
            Notice::Pooled { id, .. } => Some(B256::from(id.0)),
            _ => None,
        });
        pooled.clone().for_each(|hash| self.context.filters.pooled(hash));
        let head = self.context.chain.published().head().headers;
        if self.context.subscriptions.is_empty() {
            self.at = head;
            return;
        }
        pooled.for_each(|hash| self.tell_pooled(hash));
        self.tell_syncing();
        // A block that cannot be read is told of by the next call.
        let _ = self.move_to(&head);
    }

    fn tell_pooled(&self, hash: B256) {
        let tx = self.context.chain.published().pool().entry(&hash).map(|entry| Arc::clone(&entry.tx));
        let whole = tx.and_then(|tx| shape::waiting(&tx).and_then(|tx| shape::json_of(&tx)).ok());
        self.context.subscriptions.tell(|topic| match topic {
            Topic::Pending => vec![json!(hash)],
            Topic::PendingWhole => whole.clone().into_iter().collect(),
            _ => Vec::new(),
        });
    }

    fn tell_syncing(&mut self) {
        let status = sync_status(syncing(&self.context));
        let is_syncing = status != Value::Bool(false);
        if is_syncing != self.is_syncing {
            self.is_syncing = is_syncing;
            self.context.subscriptions.tell(|topic| match topic {
                Topic::Syncing => vec![status.clone()],
                _ => Vec::new(),
            });
        }
    }

    fn move_to(&mut self, head: &Headers<Evm>) -> Result<(), RpcError> {
        let fork = self.at.fork_point(head);
        while self.at.height() > fork.height() {
            let logs = self.logs(&self.at, true)?;
            self.tell_logs(&logs);
            let Some(parent) = self.at.parent() else { break };
            self.at = parent;
        }
        let mut way: Vec<_> = head.down().take_while(|block| block.height() > fork.height()).collect();
        while let Some(block) = way.pop() {
            let logs = self.logs(&block, false)?;
            let header = shape::json_of(&shape::header(block.header(), None))?;
            self.context.subscriptions.tell(|topic| match topic {
                Topic::Heads => vec![header.clone()],
                _ => Vec::new(),
            });
            self.tell_logs(&logs);
            self.tell_receipts(&block)?;
            self.at = block;
        }
        Ok(())
    }

    fn logs(&self, block: &Headers<Evm>, removed: bool) -> Result<Vec<Log>, RpcError> {
        let Some(receipts) = self.context.chain.receipts(block)? else { return Ok(Vec::new()) };
        Ok(shape::logs(&self.context.chain.body(block)?, &receipts, removed))
    }

    /// One notification per block and subscriber, with all receipts that were asked for.
    fn tell_receipts(&self, block: &Headers<Evm>) -> Result<(), RpcError> {
        if !self.context.subscriptions.0.lock().active.iter().any(|it| matches!(it.topic, Topic::Receipts(_)))
        {
            return Ok(());
        }
        let Value::Array(receipts) = block_receipts(&self.context, block)? else { return Ok(()) };
        let asked = |receipt: &Value, hashes: &[B256]| {
            hashes.is_empty() || hashes.iter().any(|hash| receipt["transactionHash"] == json!(hash))
        };
        self.context.subscriptions.tell(|topic| match topic {
            Topic::Receipts(hashes) => {
                let chosen: Vec<_> =
                    receipts.iter().filter(|receipt| asked(receipt, hashes)).cloned().collect();
                if chosen.is_empty() { Vec::new() } else { vec![Value::Array(chosen)] }
            }
            _ => Vec::new(),
        });
        Ok(())
    }

    fn tell_logs(&self, logs: &[Log]) {
        self.context.subscriptions.tell(|topic| match topic {
            Topic::Logs(filter) => {
                let fitting = logs.iter().filter(|log| filter.rpc_matches(log));
                fitting.filter_map(|log| shape::json_of(log).ok()).collect()
            }
            _ => Vec::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chainwright_rpc::testing::session;

    #[test]
    fn only_who_asked_is_told_and_only_the_owner_may_end_it() {
        let (alice, mut told) = session(1);
        let (bob, _) = session(2);
        let all = Subscriptions::default();
        let id = all.add(alice.clone(), Topic::Pending).unwrap();
        let pending = |topic: &Topic| match topic {
            Topic::Pending => vec![json!("0x07")],
            _ => Vec::new(),
        };
        all.tell(pending);
        assert_eq!(told.next(), None, "the reply with the id comes first");
        all.begin(&id, None);
        all.tell(pending);
        let message = r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1","result":"0x07"}}"#;
        assert_eq!(told.next().as_deref(), Some(message));
        assert!(!all.remove(&id, &bob));
        assert!(all.remove(&id, &alice));
        all.tell(pending);
        assert_eq!(told.next(), None);
        assert!(all.is_empty());
    }

    #[test]
    fn only_so_many_subscriptions_are_kept() {
        let all = Subscriptions::default();
        let (alice, _told) = session(1);
        let ids: Vec<_> = (0..OWN_MAX).map(|_| all.add(alice.clone(), Topic::Heads).unwrap()).collect();
        assert_eq!(all.add(alice.clone(), Topic::Heads).unwrap_err().code, LIMIT_EXCEEDED);
        assert!(all.remove(&ids[0], &alice));
        all.add(alice.clone(), Topic::Heads).unwrap();
        let (bob, _told) = session(2);
        let many = || Topic::Receipts(vec![B256::ZERO; NAMES_MAX]);
        all.add(bob.clone(), many()).unwrap();
        assert_eq!(all.add(bob.clone(), many()).unwrap_err().code, LIMIT_EXCEEDED);
        all.close(&bob);
        all.add(bob, many()).unwrap();
        let others: Vec<_> = (3..).map(session).take(ALL_MAX / OWN_MAX).collect();
        let add = |at: usize| all.add(others[at % others.len()].0.clone(), Topic::Heads);
        let room = ALL_MAX - OWN_MAX - 1;
        assert!((0..room).all(|at| add(at).is_ok()));
        assert_eq!(add(room).unwrap_err().code, LIMIT_EXCEEDED);
    }
}
