//! The methods, by what they are about. Each group is a table; [`ALL`] is the dialect.

mod accounts;
mod again;
mod blocks;
mod call;
mod config;
mod dev;
mod filters;
mod flat;
mod gas;
mod logs;
mod node;
mod pool;
mod proof;
mod raw;
mod sign;
mod simulate;
mod state;
mod steps;
mod subscribe;
mod testing;
mod trace;
mod tracer;

pub(crate) use blocks::{block_receipts, receipt_of};
pub(crate) use node::syncing;

use crate::dialect::Entry;
use chainwright_rpc::{Kind, Parameter};

/// Every group.
pub(crate) const ALL: &[&[Entry]] = &[
    accounts::METHODS,
    blocks::METHODS,
    call::METHODS,
    config::METHODS,
    filters::METHODS,
    flat::METHODS,
    gas::METHODS,
    logs::METHODS,
    node::METHODS,
    pool::METHODS,
    proof::METHODS,
    raw::METHODS,
    sign::METHODS,
    simulate::METHODS,
    state::METHODS,
    subscribe::METHODS,
    testing::METHODS,
    trace::METHODS,
];

/// Groups that development chains have beside.
pub(crate) const DEVELOPMENT: &[&[Entry]] = dev::ALL;

/// A block by number, tag, hash or object.
const BLOCK: Parameter = Parameter::required("block", Kind::Any, "A number, a tag, or a hash");
/// The same, the newest block unless given.
const BLOCK_OR_LATEST: Parameter =
    Parameter::optional("block", Kind::Any, "latest", "A number, a tag, or a hash");
/// A block by its hash.
const BLOCK_HASH: Parameter = Parameter::required("hash", Kind::Any, "The block's hash");
/// A transaction by its hash.
const TX_HASH: Parameter = Parameter::required("hash", Kind::Any, "The transaction's hash");
/// A position in a block.
const INDEX: Parameter = Parameter::required("index", Kind::Any, "A position, from 0");
/// An account.
const ADDRESS: Parameter = Parameter::required("address", Kind::Any, "An address");
