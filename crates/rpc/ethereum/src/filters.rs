//! Filters: what happened since a caller asked last, for callers that cannot be pushed to.
//!
//! ```text
//!   blocks, logs:  a filter stands at a block; asking walks it to the head (down to the fork, then up)
//!   transactions:  one short list of what the pool took, shared by all; a filter stands at a position in it
//! ```
//!
//! Invariants:
//! - what a filter costs while nobody asks does not grow, but for the shared list, which has a ceiling;
//! - a filter nobody asked for [`LIFETIME_US`] is forgotten.
//!
//! Source: go-ethereum 1.16, `eth/filters`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use alloy_primitives::{B256, hex, keccak256};
use alloy_rpc_types_eth::{Filter, Log};
use chainwright_chain::{Headers, Height};
use chainwright_evm::Evm;
use chainwright_rpc::{Answer, RpcError};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::chain::server_error;
use crate::dialect::Context;
use crate::shape;

/// How long a filter lives after it was asked last, in microseconds (geth, `eth/filters` `Config.Timeout`).
const LIFETIME_US: u64 = 5 * 60 * 1_000_000;
/// Filters there may be at a time.
const FILTERS_MAX: usize = 1_000;
/// Hashes of transactions kept for filters; who asks too seldom misses the oldest.
const POOLED_MAX: usize = 65_536;
/// Blocks or logs one answer holds before the rest is left for the next one.
const ANSWER_MAX: usize = 20_000;
/// geth's code for limits (EIP-1474).
pub(crate) const LIMIT_EXCEEDED: i32 = -32005;

/// What a filter watches, and how far it has told.
pub(crate) enum Watch {
    /// Hashes of blocks that join the chain, after this one.
    Blocks(Headers<Evm>),
    /// Logs that fit, after this block.
    Logs(Arc<Filter>, Headers<Evm>),
    /// Transactions the pool takes, from this position on; whole or their hashes.
    Pooled { from: u64, whole: bool },
}

struct Installed {
    asked_us: u64,
    watch: Arc<Mutex<Watch>>,
    /// Of a filter of logs.
    filter: Option<Arc<Filter>>,
    is_pooled: bool,
}

#[derive(Default)]
struct Inner {
    count: u64,
    installed: HashMap<String, Installed>,
    pooled: VecDeque<B256>,
    /// How many hashes have left the list at its front.
    dropped: u64,
}

/// All filters.
#[derive(Default)]
pub(crate) struct Filters(Mutex<Inner>);

fn not_found() -> RpcError {
    server_error("filter not found")
}

impl Filters {
    /// Begins to watch; the id to ask by. `seed` differs between two runs of the node, so that an id of an earlier run is
    /// nobody's.
    pub(crate) fn install(&self, watch: Watch, now_us: u64, seed: u64) -> Result<String, RpcError> {
        let mut inner = self.0.lock();
        inner.forget_old(now_us);
        if inner.installed.len() >= FILTERS_MAX {
            let words = format!("too many filters (at most {FILTERS_MAX}); uninstall some");
            return Err(RpcError::new(LIMIT_EXCEEDED, words));
        }
        inner.count += 1;
        let unique: Vec<u8> =
            [seed, now_us, inner.count].iter().flat_map(|part| part.to_be_bytes()).collect();
        let id = format!("0x{}", hex::encode(&keccak256(unique)[..16]));
        let filter = match &watch {
            Watch::Logs(filter, _) => Some(Arc::clone(filter)),
            _ => None,
        };
        let is_pooled = matches!(watch, Watch::Pooled { .. });
        let installed = Installed { asked_us: now_us, watch: Arc::new(Mutex::new(watch)), filter, is_pooled };
        inner.installed.insert(id.clone(), installed);
        Ok(id)
    }

    /// Ends a filter; whether there was one.
    pub(crate) fn uninstall(&self, id: &str, now_us: u64) -> bool {
        let mut inner = self.0.lock();
        inner.forget_old(now_us);
        let found = inner.installed.remove(id).is_some();
        inner.trim();
        found
    }

    /// What a filter of logs looks for.
    pub(crate) fn of_logs(&self, id: &str, now_us: u64) -> Result<Arc<Filter>, RpcError> {
        let mut inner = self.0.lock();
        inner.forget_old(now_us);
        inner.installed.get(id).and_then(|it| it.filter.clone()).ok_or_else(not_found)
    }

    /// The position of the next transaction the pool takes.
    pub(crate) fn next_pooled(&self) -> u64 {
        let inner = self.0.lock();
        inner.dropped + inner.pooled.len() as u64
    }

    /// The pool took a transaction.
    pub(crate) fn pooled(&self, hash: B256) {
        let mut inner = self.0.lock();
        if !inner.installed.values().any(|it| it.is_pooled) {
            return;
        }
        inner.pooled.push_back(hash);
        while inner.pooled.len() > POOLED_MAX {
            inner.pooled.pop_front();
            inner.dropped += 1;
        }
    }

    fn asked(&self, id: &str, now_us: u64) -> Result<Arc<Mutex<Watch>>, RpcError> {
        let mut inner = self.0.lock();
        inner.forget_old(now_us);
        let installed = inner.installed.get_mut(id).ok_or_else(not_found)?;
        installed.asked_us = now_us;
        Ok(Arc::clone(&installed.watch))
    }

    /// The hashes from a position on that are still kept, and the position after them.
    fn pooled_from(&self, from: u64) -> (Vec<B256>, u64) {
        let inner = self.0.lock();
        let skip = from.saturating_sub(inner.dropped) as usize;
        let next = inner.dropped + inner.pooled.len() as u64;
        (inner.pooled.iter().skip(skip).copied().collect(), next)
    }
}

impl Inner {
    fn forget_old(&mut self, now_us: u64) {
        self.installed.retain(|_, it| now_us.saturating_sub(it.asked_us) <= LIFETIME_US);
        self.trim();
    }

    /// Nobody waits for transactions: none are kept.
    fn trim(&mut self) {
        if !self.pooled.is_empty() && !self.installed.values().any(|it| it.is_pooled) {
            self.dropped += self.pooled.len() as u64;
            self.pooled = VecDeque::new();
        }
    }
}

/// What happened since a filter was asked last.
pub(crate) fn changes(context: &Context, id: &str) -> Answer {
    let watch = context.filters.asked(id, context.host.monotonic_us())?;
    let mut watch = watch.lock();
    match &mut *watch {
        Watch::Blocks(at) => {
            let mut hashes = Vec::new();
            walk(context, at, &mut |block, joins| {
                if joins {
                    hashes.push(block.header().hash());
                }
                Ok(hashes.len() < ANSWER_MAX)
            })?;
            Ok(json!(hashes))
        }
        Watch::Logs(filter, at) => {
            let mut found = Vec::new();
            walk(context, at, &mut |block, joins| {
                found.extend(fitting(context, filter, block, !joins)?);
                Ok(found.len() < ANSWER_MAX)
            })?;
            shape::json_of(&found)
        }
        Watch::Pooled { from, whole } => {
            let (hashes, next) = context.filters.pooled_from(*from);
            *from = next;
            if !*whole {
                return Ok(json!(hashes));
            }
            let whole = hashes.iter().filter_map(|hash| transaction(context, hash).transpose());
            whole.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
    }
}

/// Is told of a block and whether it joins the chain (else it leaves); whether it wants more.
type Seen<'a> = dyn FnMut(&Headers<Evm>, bool) -> Result<bool, RpcError> + 'a;

/// Takes `at` to the head, block by block: down to the fork, where blocks leave, then up, where they join. Once `seen`
/// answers `false` the rest is left for the next time.
fn walk(context: &Context, at: &mut Headers<Evm>, seen: &mut Seen<'_>) -> Result<(), RpcError> {
    let head = context.chain.published().head().headers;
    let fork = at.fork_point(&head);
    while at.height() > fork.height() {
        let goes_on = seen(at, false)?;
        let Some(parent) = at.parent() else { break };
        *at = parent;
        if !goes_on {
            return Ok(());
        }
    }
    for height in fork.height().0 + 1..=head.height().0 {
        let Some(block) = head.ancestor(Height(height)) else { break };
        let goes_on = seen(&block, true)?;
        *at = block;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// The logs of a block that fit. Most blocks are passed over by their bloom filter.
fn fitting(
    context: &Context,
    filter: &Filter,
    block: &Headers<Evm>,
    removed: bool,
) -> Result<Vec<Log>, RpcError> {
    if !filter.matches_bloom(block.header().logs_bloom) {
        return Ok(Vec::new());
    }
    let Some(receipts) = context.chain.receipts(block)? else { return Ok(Vec::new()) };
    let mut logs = shape::logs(&context.chain.body(block)?, &receipts, removed);
    logs.retain(|log| filter.rpc_matches(log));
    Ok(logs)
}

/// A transaction the pool took, wherever it is now; `None` if it was dropped.
fn transaction(context: &Context, hash: &B256) -> Result<Option<Value>, RpcError> {
    let waiting = context.chain.published().pool().entry(hash).map(|entry| Arc::clone(&entry.tx));
    if let Some(tx) = waiting {
        return shape::json_of(&shape::waiting(&tx)?).map(Some);
    }
    let Some(place) = context.chain.place(hash)? else { return Ok(None) };
    let block = context.chain.body(&place.block)?;
    let tx = block.transactions.get(place.index).map(shape::waiting).transpose()?;
    tx.map(|tx| shape::json_of(&tx)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 7_000_000;

    fn pooled(filters: &Filters, now_us: u64) -> String {
        let from = filters.next_pooled();
        filters.install(Watch::Pooled { from, whole: false }, now_us, 1).unwrap()
    }

    #[test]
    fn a_filter_nobody_asks_is_forgotten_after_five_minutes() {
        let filters = Filters::default();
        let id = pooled(&filters, NOW_US);
        assert!(filters.asked(&id, NOW_US + LIFETIME_US).is_ok());
        assert!(filters.asked(&id, NOW_US + 2 * LIFETIME_US).is_ok(), "asking makes it live on");
        let error = filters.asked(&id, NOW_US + 3 * LIFETIME_US + 1).err().unwrap();
        assert_eq!((error.code, error.message.as_str()), (-32000, "filter not found"));
    }

    #[test]
    fn only_so_many_filters_are_kept() {
        let filters = Filters::default();
        let ids: Vec<_> = (0..FILTERS_MAX).map(|_| pooled(&filters, NOW_US)).collect();
        let refused = filters.install(Watch::Pooled { from: 0, whole: false }, NOW_US, 1).unwrap_err();
        assert_eq!(refused.code, LIMIT_EXCEEDED);
        assert!(filters.uninstall(&ids[0], NOW_US));
        assert!(!filters.uninstall(&ids[0], NOW_US));
        pooled(&filters, NOW_US);
    }

    #[test]
    fn transactions_are_kept_while_somebody_waits_for_them_and_only_so_many() {
        let filters = Filters::default();
        filters.pooled(B256::repeat_byte(1));
        assert_eq!(filters.next_pooled(), 0, "nobody waits");
        let id = pooled(&filters, NOW_US);
        for number in 0..=POOLED_MAX as u64 {
            filters.pooled(B256::from(alloy_primitives::U256::from(number)));
        }
        assert_eq!(filters.pooled_from(0).0.len(), POOLED_MAX);
        assert_eq!(filters.pooled_from(POOLED_MAX as u64).0.len(), 1, "the last one");
        assert!(filters.uninstall(&id, NOW_US));
        assert_eq!(filters.pooled_from(0).0, Vec::<B256>::new());
        assert_eq!(filters.next_pooled(), POOLED_MAX as u64 + 1, "positions go on");
    }
}
