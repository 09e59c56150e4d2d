//! What this node answers for beside the newest state: transactions and logs found by index, and states after older blocks.
//!
//! ```text
//!   state after a block:  a few blocks back  deltas taken back from the head
//!                         further            the history index, if it is kept; else deltas, up to a bound
//! ```

use std::sync::Arc;

use alloy_primitives::Address;
use alloy_rpc_types_eth::Filter;
use chainwright_chain::{ChainHandle, Headers, Height, PastError, View};
use chainwright_evm::Evm;
use chainwright_evm::types::{EvmBlock, EvmReceipts};
use chainwright_indexes::{Follower, IndexError, Indexes, Kind, Options, Search, States, Tags};
use chainwright_rpc::{Host, RpcError};

use crate::chain::{fault, server_error};

/// How many blocks are taken back from the head, at most.
const UNDO_MAX: u32 = 1_024;
/// How many blocks are taken back where the index could be asked.
const UNDO_CHEAP: u32 = 16;

/// How much of the past a node answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Transactions are found by index.
    pub transactions: bool,
    /// Logs are found by index.
    pub logs: bool,
    /// Which states can be read.
    pub states: States,
}

impl Default for Past {
    fn default() -> Self {
        Self { transactions: true, logs: true, states: States::Last(UNDO_MAX) }
    }
}

impl Past {
    /// A node without a disk of its own: the newest blocks are looked through.
    pub const NEWEST: Self = Self { transactions: false, logs: false, states: States::Last(UNDO_MAX) };

    fn indexes(self) -> Options {
        let history = match self.states {
            // So far the journal leads back.
            States::Last(blocks) if blocks <= UNDO_MAX => None,
            states => Some(states),
        };
        Options { items: self.transactions, tags: self.logs, history }
    }
}

/// Addresses and topics of logs.
struct LogTags;

fn address_tag(address: &Address) -> Vec<u8> {
    [&[0], address.as_slice()].concat()
}

fn topic_tag(position: usize, topic: &[u8]) -> Vec<u8> {
    [&[1 + position as u8], topic].concat()
}

impl Tags<Evm> for LogTags {
    fn tags(&self, _: &EvmBlock, receipts: &EvmReceipts, tag: &mut dyn FnMut(&[u8])) {
        for log in receipts.receipts.iter().flat_map(|receipt| &receipt.logs) {
            tag(&address_tag(&log.address));
            for (position, topic) in log.topics().iter().enumerate() {
                tag(&topic_tag(position, topic.as_slice()));
            }
        }
    }
}

/// One of each list has to be in a block with logs that fit.
fn tags_of(filter: &Filter) -> Vec<Vec<Vec<u8>>> {
    let addresses = filter.address.iter().map(address_tag).collect();
    let topics = filter.topics.iter().enumerate();
    let topics =
        topics.map(|(at, topics)| topics.iter().map(|topic| topic_tag(at, topic.as_slice())).collect());
    let all: Vec<Vec<_>> = core::iter::once(addresses).chain(topics).collect();
    all.into_iter().filter(|tags| !tags.is_empty()).collect()
}

/// The indexes of a node, and what follows them.
pub(crate) struct Library {
    past: Past,
    // Dropped first: it ends the thread that writes.
    _follower: Option<Follower>,
    indexes: Option<Arc<Indexes<Evm>>>,
}

impl Library {
    /// Nothing but the newest blocks.
    pub(crate) const fn newest() -> Self {
        Self { past: Past::NEWEST, _follower: None, indexes: None }
    }

    /// Opens the indexes in the node's folder and follows the chain. Without a disk that works there are none.
    pub(crate) fn open(chain: &ChainHandle<Evm>, host: &Arc<dyn Host>, past: Past) -> Self {
        let options = past.indexes();
        if options == Options::default() {
            return Self { past, _follower: None, indexes: None };
        }
        let folder = host.data_directory().join("indexes");
        let opened = Indexes::open(Arc::clone(chain.published()), &folder, options, Arc::new(LogTags));
        let started = opened.and_then(|indexes| {
            let (indexes, host) = (Arc::new(indexes), Arc::clone(host));
            let follower = Follower::start(Arc::clone(&indexes), Box::new(move |line| host.log_line(line)))?;
            Ok((follower, indexes))
        });
        match started {
            Ok((follower, indexes)) => Self { past, _follower: Some(follower), indexes: Some(indexes) },
            Err(error) => {
                host.log_line(&format!("Indexes: {error}; going on without them"));
                Self { past, _follower: None, indexes: None }
            }
        }
    }

    pub(crate) const fn past(&self) -> Past {
        self.past
    }

    fn keeping(&self, kind: Kind) -> Option<&Indexes<Evm>> {
        self.indexes.as_deref().filter(|indexes| indexes.options().keeps(kind))
    }

    /// Where the index says a transaction stands on the branch of `head`, and the lowest block it does not speak for.
    pub(crate) fn find(
        &self,
        hash: &[u8; 32],
        head: &Headers<Evm>,
    ) -> Result<(Option<(Height, u32)>, u32), IndexError> {
        let Some(indexes) = self.keeping(Kind::Items) else { return Err(IndexError::Off(Kind::Items)) };
        let found = indexes.find(hash)?;
        let shared = found.upto.fork_point(head).height();
        Ok((found.place.filter(|(height, _)| *height <= shared), shared.0 + 1))
    }

    /// The blocks in which logs may fit, as far as the index speaks; `None` where there is none to ask.
    pub(crate) fn search(&self, filter: &Filter, (from, to): (u32, u32)) -> Option<Search<Evm>> {
        let indexes = self.keeping(Kind::Tags)?;
        // One that is being built is no use; headers know enough to go on without it.
        indexes.search(&tags_of(filter), Height(from), Height(to)).ok()
    }

    /// The chain as it stood after a block of it.
    pub(crate) fn view(&self, chain: &ChainHandle<Evm>, at: &Headers<Evm>) -> Result<View<Evm>, RpcError> {
        let head = chain.published().head().headers;
        let base = chain.published().base().height();
        if at.height() < base {
            return Err(too_old(at, base));
        }
        let distance = head.height().above(at.height());
        let kept = match self.past.states {
            States::All => u32::MAX,
            States::Last(blocks) => blocks,
        };
        if distance > kept {
            return Err(too_old(at, Height(head.height().0 - kept)));
        }
        if distance > UNDO_CHEAP.min(kept)
            && let Some(indexes) = self.keeping(Kind::History)
        {
            match indexes.view(at) {
                Ok(view) => return Ok(view),
                Err(IndexError::NotInChain) => return Err(server_error("header not found")),
                Err(IndexError::TooOld { oldest, .. }) => return Err(too_old(at, oldest)),
                Err(error) if distance > UNDO_MAX => return Err(server_error(error.to_string())),
                // Nearer states can be had without it.
                Err(_) => {}
            }
        }
        chain.published().view(at, UNDO_MAX.min(kept)).map_err(|error| match error {
            PastError::NotInChain => server_error("header not found"),
            PastError::TooOld { oldest, .. } => too_old(at, oldest),
            PastError::Fault(error) => fault(error),
        })
    }

    /// How many blocks below the head the journal leads back for readers.
    pub(crate) fn undo_max(&self) -> u32 {
        match self.past.states {
            States::Last(blocks) => blocks.min(UNDO_MAX),
            States::All => UNDO_MAX,
        }
    }

    /// The lowest block whose state can be read, below a head.
    pub(crate) fn oldest_state(&self, head: Height) -> Height {
        match (self.past.states, self.keeping(Kind::History).map(Indexes::oldest_state)) {
            (States::All, Some(Ok(oldest))) => oldest,
            (States::Last(blocks), Some(Ok(oldest))) => oldest.max(Height(head.0.saturating_sub(blocks))),
            _ => Height(head.0.saturating_sub(self.undo_max())),
        }
    }
}

/// geth's words where it has dropped a state (`trie.MissingNodeError`), and what can be asked for instead.
fn too_old(at: &Headers<Evm>, oldest: Height) -> RpcError {
    let root = at.header().state_root;
    server_error(format!(
        "missing trie node {} (path ) state {root} is not available; the oldest state kept is that of block {oldest}",
        alloy_primitives::hex::encode(root)
    ))
}
