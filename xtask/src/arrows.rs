//! The arrow table: which of our crates may depend on which.
//!
//! A new arrow changes [`TABLE`] in the same commit, and the commit says why. Rows name crates without the
//! `chainwright-` prefix. Tests may look further than the product: every row has a second, looser list.
//!
//! Invariants, which the table makes true:
//! - `chain` depends on nothing of ours; engines and ledgers on `chain` alone and never on each other
//! - `node` names no engine and no ledger; only the binary and the simulator do
//! - the wire, the disk, JSON and the asynchronous runtime each stay behind one wall ([`WALLS`])

use crate::workspace::{self, Member};
use std::path::Path;

/// What one crate may depend on.
struct Row {
    name: &'static str,
    /// For the product.
    normal: &'static [&'static str],
    /// Further ones for its tests.
    dev: &'static [&'static str],
}

const PLUG_INS: &[&str] = &["pow", "solo", "external", "utxo", "names", "evm"];
const ALL: &[&str] = &[
    "chain",
    "pow",
    "solo",
    "external",
    "names",
    "utxo",
    "evm",
    "store",
    "indexes",
    "network",
    "rpc",
    "rpc-bitcoin",
    "rpc-ethereum",
    "node",
    "sim",
    "cli",
];

const TABLE: &[Row] = &[
    Row { name: "chain", normal: &[], dev: &[] },
    Row { name: "pow", normal: &["chain"], dev: &[] },
    Row { name: "solo", normal: &["chain"], dev: &[] },
    // Its tests follow a chain through a restart.
    Row { name: "external", normal: &["chain"], dev: &["store"] },
    // The toy ledger is the tutorial: its tests run it on both engines and on the real store.
    Row { name: "names", normal: &["chain"], dev: &["pow", "solo", "store"] },
    Row { name: "utxo", normal: &["chain"], dev: &[] },
    // Its tests bring the official vectors through a driver on the real store, under the engine that checks no seal.
    Row { name: "evm", normal: &["chain"], dev: &["external", "store"] },
    Row { name: "store", normal: &["chain"], dev: &[] },
    // Rebuildable, fed by events: of the disk and of ledgers it knows nothing.
    Row { name: "indexes", normal: &["chain"], dev: &[] },
    Row { name: "network", normal: &["chain"], dev: &[] },
    // The server shell knows no ledger: a dialect that does is a crate of its own.
    Row { name: "rpc", normal: &["chain"], dev: &[] },
    // Blocks and transactions of the utxo ledger in Bitcoin's words; its tests serve a real chain on a simulated disk.
    Row { name: "rpc-bitcoin", normal: &["chain", "rpc", "utxo"], dev: &["pow", "store"] },
    // Blocks and states of the evm ledger in Ethereum's words; methods of development chains steer their sealer; its tests answer
    // for a real chain on a simulated disk.
    Row {
        name: "rpc-ethereum",
        normal: &["chain", "indexes", "rpc", "evm", "solo"],
        dev: &["external", "store"],
    },
    // The shell serves what the node runs; the node implements its view of peers, time and stopping.
    Row { name: "node", normal: &["chain", "store", "network", "rpc"], dev: PLUG_INS },
    Row {
        name: "sim",
        normal: &["chain", "store", "network", "pow", "solo", "utxo", "names", "evm"],
        dev: &["node"],
    },
    Row {
        name: "cli",
        normal: &[
            "chain",
            "pow",
            "solo",
            "external",
            "names",
            "utxo",
            "evm",
            "store",
            "network",
            "rpc",
            "rpc-bitcoin",
            "rpc-ethereum",
            "node",
        ],
        dev: ALL,
    },
    // Whole-product tests start the binary; they may build transactions, never reach into a node.
    Row { name: "tests", normal: &[], dev: &["chain", "pow", "utxo"] },
    // Benchmarks make their chain themselves and run us as a user would; only the table of coins is measured from inside.
    Row { name: "bench", normal: &["chain", "utxo"], dev: &[] },
    Row { name: "bench-store", normal: &["chain", "store"], dev: &[] },
    // Of the dialect it asks the questions users ask.
    Row {
        name: "bench-logs",
        normal: &["chain", "evm", "external", "rpc", "rpc-ethereum", "store"],
        dev: &[],
    },
    Row { name: "bench-state-root", normal: &["chain", "evm"], dev: &[] },
    Row { name: "xtask", normal: &[], dev: &[] },
];

/// A library of others that only the named crates may use in the product, and why.
struct Wall {
    library: &'static str,
    inside: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall { library: "tokio", inside: &["node", "rpc", "cli"], why: "the core is synchronous" },
    Wall { library: "hyper", inside: &["rpc"], why: "one server shell" },
    Wall {
        library: "serde_json",
        // Genesis files of other clients are JSON.
        inside: &["rpc", "rpc-bitcoin", "rpc-ethereum", "evm", "cli", "tests", "xtask", "bench-logs"],
        why: "only the rim knows JSON",
    },
    Wall { library: "fjall", inside: &["indexes"], why: "consensus-critical data lies in our own store" },
    Wall { library: "bitcoin", inside: &["cli"], why: "the ledger's codec and Script are our own" },
    Wall { library: "bdk_wallet", inside: &["cli"], why: "a wallet speaks RPC, it is no part of a node" },
    Wall { library: "bitcoinkernel", inside: &[], why: "it is a test oracle, never part of the product" },
    Wall { library: "clap", inside: &["cli", "bench"], why: "only binaries read a command line" },
];

/// Arrows of the workspace at `root` that the table does not allow.
pub(crate) fn findings(root: &Path) -> Result<Vec<String>, String> {
    Ok(check(&workspace::members(root)?))
}

fn check(members: &[Member]) -> Vec<String> {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut findings = Vec::new();
    for member in members {
        let own = short(&member.name);
        // An oracle compares us with others: it may look at everything, and nothing looks at it.
        let row = TABLE.iter().find(|row| row.name == own);
        if row.is_none() && !member.oracle {
            findings.push(format!("{}: no row in the arrow table (xtask/src/arrows.rs)", member.name));
            continue;
        }
        let ours = |list: &[String]| -> Vec<String> {
            list.iter().filter(|name| names.contains(&name.as_str())).cloned().collect()
        };
        if let Some(row) = row {
            for name in ours(&member.normal) {
                if !row.normal.contains(&short(&name)) {
                    findings.push(format!("{own} → {}: not in the arrow table", short(&name)));
                }
            }
            for name in ours(&member.dev) {
                let target = short(&name);
                if !row.normal.contains(&target) && !row.dev.contains(&target) && target != own {
                    findings.push(format!("tests of {own} → {target}: not in the arrow table"));
                }
            }
            findings.extend(walls(own, &member.normal));
        }
    }
    findings
}

fn walls(own: &str, normal: &[String]) -> Vec<String> {
    let crossed = WALLS
        .iter()
        .filter(|wall| normal.iter().any(|name| name == wall.library) && !wall.inside.contains(&own));
    crossed.map(|wall| format!("{own} → {}: {}", wall.library, wall.why)).collect()
}

fn short(name: &str) -> &str {
    name.strip_prefix("chainwright-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, normal: &[&str], dev: &[&str]) -> Member {
        let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Member { name: name.to_owned(), normal: owned(normal), dev: owned(dev), oracle: false }
    }

    fn workspace(extra: Member) -> Vec<Member> {
        let mut members = vec![
            member("chainwright-chain", &["thiserror"], &[]),
            member("chainwright-pow", &["chainwright-chain"], &[]),
            member("chainwright-utxo", &["chainwright-chain", "secp256k1"], &[]),
        ];
        members.retain(|member| member.name != extra.name);
        members.push(extra);
        members
    }

    #[test]
    fn this_workspace_follows_the_table() {
        assert_eq!(findings(&crate::tree::root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn allowed_arrows_pass() {
        let members = workspace(member("chainwright-node", &["chainwright-chain"], &["chainwright-utxo"]));
        assert_eq!(check(&members), Vec::<String>::new());
    }

    #[test]
    fn an_engine_that_sees_a_ledger_is_found() {
        let members = workspace(member("chainwright-pow", &["chainwright-chain", "chainwright-utxo"], &[]));
        assert_eq!(check(&members), ["pow → utxo: not in the arrow table"]);
    }

    #[test]
    fn a_node_that_names_a_ledger_is_found() {
        let members = workspace(member("chainwright-node", &["chainwright-utxo"], &[]));
        assert_eq!(check(&members), ["node → utxo: not in the arrow table"]);
    }

    #[test]
    fn tests_have_their_own_row() {
        let members = workspace(member("chainwright-chain", &[], &["chainwright-utxo"]));
        assert_eq!(check(&members), ["tests of chain → utxo: not in the arrow table"]);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        let members = workspace(member("chainwright-helpers", &[], &[]));
        assert_eq!(check(&members), ["chainwright-helpers: no row in the arrow table (xtask/src/arrows.rs)"]);
    }

    #[test]
    fn a_library_behind_a_wall_is_found() {
        let members = workspace(member("chainwright-chain", &["tokio"], &[]));
        assert_eq!(check(&members), ["chain → tokio: the core is synchronous"]);
    }

    #[test]
    fn an_oracle_looks_at_everything() {
        let mut oracle = member("chainwright-oracle", &["chainwright-utxo", "bitcoinkernel"], &[]);
        oracle.oracle = true;
        assert_eq!(check(&workspace(oracle)), Vec::<String>::new());
    }

    #[test]
    fn nothing_may_depend_on_an_oracle() {
        let mut members = workspace(member("chainwright-pow", &["chainwright-oracle"], &[]));
        let mut oracle = member("chainwright-oracle", &[], &[]);
        oracle.oracle = true;
        members.push(oracle);
        assert_eq!(check(&members), ["pow → oracle: not in the arrow table"]);
    }
}
