//! Either side of a conversation between nodes.

use std::net::SocketAddr;
use std::time::Duration;

use chainwright_tests::{Btcd, Node, Rpc, wait_until};
use chainwright_utxo::tx::Transaction;
use serde_json::{Value, json};

use crate::payments;

/// How long two nodes on one machine may take to agree.
pub(crate) const AGREE_LIMIT: Duration = Duration::from_mins(2);

/// Ours or a btcd that mines to [`payments::address`].
pub(crate) enum Party<'a> {
    Ours(&'a Node),
    Btcd(&'a Btcd),
}

impl Party<'_> {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Party::Ours(_) => "ours",
            Party::Btcd(_) => "btcd",
        }
    }

    pub(crate) fn rpc(&self) -> &Rpc {
        match self {
            Party::Ours(node) => node.rpc(),
            Party::Btcd(btcd) => btcd.rpc(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Party::Ours(node) => node.address(),
            Party::Btcd(btcd) => btcd.address(),
        }
    }

    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        self.rpc().call(method, params)
    }

    #[track_caller]
    pub(crate) fn generate(&self, count: u32) -> Vec<String> {
        match self {
            Party::Ours(node) => node.generate(count, &payments::address()),
            Party::Btcd(btcd) => btcd.generate(count),
        }
    }

    #[track_caller]
    pub(crate) fn connect(&self, other: &Party<'_>) {
        match self {
            Party::Ours(node) => node.connect(other.address()),
            Party::Btcd(btcd) => btcd.connect(other.address()),
        }
    }

    #[track_caller]
    pub(crate) fn best(&self) -> String {
        self.call("getbestblockhash", json!([])).as_str().expect("a block id is text").to_owned()
    }

    /// Puts a transaction into the pool; gives its id.
    #[track_caller]
    pub(crate) fn send(&self, transaction: &Transaction) -> String {
        let id = self.call("sendrawtransaction", json!([payments::hex(transaction)]));
        id.as_str().expect("a transaction id is text").to_owned()
    }

    #[track_caller]
    pub(crate) fn pool_has(&self, id: &str) -> bool {
        let pool = self.call("getrawmempool", json!([]));
        pool.as_array().is_some_and(|ids| ids.contains(&json!(id)))
    }

    #[track_caller]
    pub(crate) fn wait_for_best(&self, id: &str) {
        let what = format!("{} is at block {id}", self.name());
        wait_until(&what, AGREE_LIMIT, || self.best() == id);
    }
}

/// What our node's coins hash to, after its chain was found to stand at `best`.
#[track_caller]
pub(crate) fn muhash(node: &Node, best: &str) -> String {
    let info = node.rpc().call("gettxoutsetinfo", json!(["muhash"]));
    assert_eq!(info["bestblock"], json!(best));
    info["muhash"].as_str().expect("a hash is text").to_owned()
}
