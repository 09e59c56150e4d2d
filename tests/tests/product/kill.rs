//! `kill -9` in the middle of a sync: the node comes back and goes on where it was.
//!
//! Blocks are counted on the line, by id. What may be carried twice per kill is the tail: the 16 blocks that are
//! asked for from one peer at a time and were on their way or not yet written. (Everything a call has shown is
//! written before; that is checked, too.)

use std::time::{Duration, UNIX_EPOCH};

use chainwright_tests::{Btcd, Node, NodeOptions, wait_until};
use serde_json::json;

use crate::party::{AGREE_LIMIT, Party, muhash};
use crate::payments::{Coin, address, fan_out, join};
use crate::proxy::Proxy;

const KILLS: u32 = 20;
/// Blocks one peer is asked for at a time.
const IN_FLIGHT_MAX: u32 = 16;
/// By then btcd has witnesses and Taproot on.
const SIGNALLED_HEIGHT: u32 = 440;
/// Blocks with transactions after these.
const BUSY_BLOCKS: usize = 60;
/// What a block takes on the line: the sync takes at least eight seconds.
const PAUSE: Duration = Duration::from_millis(16);

/// Numbers that differ from run to run; xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A chain whose last blocks create and spend coins of every kind; gives its newest block's id.
#[track_caller]
fn make_chain(btcd: &Party<'_>) -> String {
    let mined = btcd.generate(SIGNALLED_HEIGHT);
    let mut tip = String::new();
    for block in mined.iter().take(BUSY_BLOCKS) {
        let (creating, coins) = fan_out(&Coin::mined(btcd, block));
        btcd.send(&creating);
        btcd.send(&join(&coins).0);
        tip = btcd.generate(1).remove(0);
    }
    tip
}

#[test]
fn a_sync_killed_twenty_times_resumes_and_ends_as_a_clean_one() {
    let Some(btcd) = Btcd::start_with(&address(), &[]) else { return };
    let btcd = Party::Btcd(&btcd);
    let tip = make_chain(&btcd);
    let clean = Node::start(NodeOptions::default());
    clean.connect(btcd.address());
    Party::Ours(&clean).wait_for_best(&tip);
    let expected = muhash(&clean, &tip);

    let seed = UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64) | 1;
    eprintln!("seed {seed}");
    let proxy = Proxy::start(btcd.address(), PAUSE);
    let flags = vec![format!("-connect={}", proxy.address()), "-printtoconsole=0".to_owned()];
    let mut node = Node::start(NodeOptions { flags, ..NodeOptions::default() });
    let unfinished = kill_often(&mut node, &mut Random(seed), &tip);
    node.wait_ready();
    Party::Ours(&node).wait_for_best(&tip);
    assert_eq!(muhash(&node, &tip), expected);

    let blocks = SIGNALLED_HEIGHT + BUSY_BLOCKS as u32;
    let (carried, twice) = proxy.counts();
    eprintln!(
        "{KILLS} kills, {unfinished} of them before the end: {carried} of {blocks} blocks, {twice} again"
    );
    assert!(unfinished >= KILLS / 2, "the sync ended too early to be killed: {unfinished}");
    assert!(twice <= unfinished * IN_FLIGHT_MAX, "{twice} blocks were fetched again");
    assert_eq!(carried - twice, blocks);
}

/// Kills and restarts the node; gives how often that was before it stood at `tip`.
#[track_caller]
fn kill_often(node: &mut Node, random: &mut Random, tip: &str) -> u32 {
    let mut unfinished = 0;
    for kill in 0..KILLS {
        // Every fourth is killed while it starts.
        if kill % 4 != 0 {
            node.wait_ready();
            let start = node.height();
            // At first it may still be connecting; the moment is counted from the first new block.
            wait_until("a new block comes", AGREE_LIMIT, || node.height() > start || node.best() == tip);
        }
        std::thread::sleep(Duration::from_millis(random.below(300)));
        let seen = node.rpc().try_call("getbestblockhash", json!([])).ok();
        node.process().kill();
        unfinished += u32::from(seen != Some(json!(tip)));
        node.spawn_again();
        if let Some(seen) = seen {
            node.wait_ready();
            let header = node.rpc().call("getblockheader", json!([seen]));
            assert!(header["confirmations"].as_i64() > Some(0), "block {seen} had been shown: {header}");
        }
    }
    unfinished
}
